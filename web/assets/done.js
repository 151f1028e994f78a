// Tells once that a person looks at the page behind the mailed link; scanners of mail run no scripts in a visible page.

const tell = () => {
  if (document.visibilityState !== "visible") return;
  document.removeEventListener("visibilitychange", tell);
  fetch(`${location.pathname.replace(/\/$/, "")}/opened`, { method: "POST" }).catch(() => {});
};

if (document.querySelector("[data-state=open]")) {
  document.addEventListener("visibilitychange", tell);
  tell();
}
