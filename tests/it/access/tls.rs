//! TLS on both interfaces, certificates of clients, and addresses that are refused without.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::make_key;
use crate::support::{PATIENCE, POLL, Stage, regflow};

/// An authority that signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine, and its key.
    fn signs(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A service behind TLS that asks who one is.
struct Safe {
    stage: Stage,
    folder: tempfile::TempDir,
    authority: Authority,
    child: Child,
    grpc: String,
    http: String,
    token: String,
}

impl Safe {
    async fn start(with_client_ca: bool) -> Self {
        let (stage, folder, authority) = (Stage::new().await, tempfile::tempdir().unwrap(), Authority::new());
        let file = |name: &str| folder.path().join(name);
        let (certificate, key) = authority.signs();
        std::fs::write(file("ca.pem"), authority.pem()).unwrap();
        std::fs::write(file("server.pem"), certificate).unwrap();
        std::fs::write(file("server.key"), key).unwrap();
        let token = make_key(&stage, &["--role", "admin", "--name", "ada"]).await;
        std::fs::write(file("token"), &token).unwrap();
        let mut command = stage.command();
        command
            .env("REGFLOW__ACCESS__MODE", "required")
            .env("REGFLOW__SERVER__TLS_CERTIFICATE", file("server.pem"))
            .env("REGFLOW__SERVER__TLS_KEY", file("server.key"));
        if with_client_ca {
            command.env("REGFLOW__SERVER__TLS_CLIENT_CA", file("ca.pem"));
        }
        let child = command.kill_on_drop(true).spawn().unwrap();
        let (grpc, http) = addresses(stage.data.path()).await;
        Self { stage, folder, authority, child, grpc, http, token }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `regflow list` as somebody who trusts this authority, perhaps with a certificate of their own.
    async fn lists(&self, ca: &Path, own: Option<(&Path, &Path)>) -> (Option<i32>, String) {
        let mut command = regflow();
        command.args(["list", "--server", &self.grpc, "--ca"]).arg(ca).env("REGFLOW_TOKEN_FILE", self.file("token"));
        if let Some((certificate, key)) = own {
            command.arg("--certificate").arg(certificate).arg("--certificate-key").arg(key);
        }
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn web(&self, identity: Option<Identity>) -> reqwest::Client {
        let ca = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).redirect(reqwest::redirect::Policy::none());
        identity.into_iter().fold(client, reqwest::ClientBuilder::identity).build().unwrap()
    }
}

/// Where a service that was just started is.
async fn addresses(data: &Path) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = std::fs::read_to_string(data.join("service.json")) {
            let file: Value = serde_json::from_str(&text).unwrap();
            let of = |key: &str| file[key].as_str().unwrap().to_owned();
            return (of("grpc"), of("http"));
        }
        assert!(Instant::now() < deadline, "the service did not come up");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_interfaces_speak_tls_and_the_login_cookie_needs_it() {
    let mut safe = Safe::start(false).await;
    assert!(safe.grpc.starts_with("https://") && safe.http.starts_with("https://"));
    // somebody who connects and says nothing holds up nobody
    let silent = tokio::net::TcpStream::connect(safe.grpc.trim_start_matches("https://")).await.unwrap();
    let ca = safe.file("ca.pem");
    assert_eq!(safe.lists(&ca, None).await.0, Some(0));
    drop(silent);
    let stranger = safe.file("stranger.pem");
    std::fs::write(&stranger, Authority::new().pem()).unwrap();
    let (code, said) = safe.lists(&stranger, None).await;
    assert!(code == Some(5) && said.contains("certificate"), "{code:?} {said}");

    let web = safe.web(None);
    let url = |path: &str| format!("{}{path}", safe.http);
    assert_eq!(web.get(url("/healthz")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(web.get(url("/api/registration")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let form = [("credential", safe.token.as_str()), ("next", "/registrations")];
    let login = web.request(Method::POST, url("/login")).form(&form).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-regflow=") && cookie.ends_with("; Secure"), "{cookie}");
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let without = web.get(url("/registrations")).header("cookie", cookie.replace("__Host-", "")).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::SEE_OTHER, "the name without its prefix counts for nothing");

    // a new certificate is in force without a restart
    let next = Authority::new();
    let (certificate, key) = next.signs();
    std::fs::write(safe.file("next.pem"), next.pem()).unwrap();
    std::fs::write(safe.file("server.key"), key).unwrap();
    std::fs::write(safe.file("server.pem"), certificate).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while safe.lists(&safe.file("next.pem"), None).await.0 != Some(0) {
        assert!(Instant::now() < deadline, "the new certificate is never used");
    }
    safe.child.kill().await.unwrap();
    drop(safe.stage);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_need_a_certificate_none_without_one_is_answered() {
    let mut safe = Safe::start(true).await;
    let (own, own_key) = safe.authority.signs();
    let (foreign, foreign_key) = Authority::new().signs();
    for (name, text) in
        [("own.pem", &own), ("own.key", &own_key), ("foreign.pem", &foreign), ("foreign.key", &foreign_key)]
    {
        std::fs::write(safe.file(name), text).unwrap();
    }
    let (ca, pair) =
        (safe.file("ca.pem"), |name: &str| (safe.file(&format!("{name}.pem")), safe.file(&format!("{name}.key"))));
    let (own_files, foreign_files) = (pair("own"), pair("foreign"));
    assert_eq!(safe.lists(&ca, Some((&own_files.0, &own_files.1))).await.0, Some(0));
    for without in [None, Some((foreign_files.0.as_path(), foreign_files.1.as_path()))] {
        let (code, said) = safe.lists(&ca, without).await;
        // with TLS 1.3 a client learns of it only with the first answer
        assert!(matches!(code, Some(1 | 5)), "{code:?} {said}");
    }
    let url = format!("{}/healthz", safe.http);
    let identity = |certificate: &str, key: &str| Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
    let known = safe.web(Some(identity(&own, &own_key))).get(&url).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::OK);
    for stranger in [None, Some(identity(&foreign, &foreign_key))] {
        assert!(safe.web(stranger).get(&url).send().await.is_err());
    }
    safe.child.kill().await.unwrap();
}

/// How a start ends that is refused: its code, and what it said.
async fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let (mut said, mut stderr) = (String::new(), child.stderr.take().unwrap());
    let ended = async {
        stderr.read_to_string(&mut said).await.unwrap();
        child.wait().await.unwrap().code()
    };
    let code = tokio::time::timeout(PATIENCE, ended).await.expect("it ends by itself");
    (code, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_can_reach_is_refused_without_tls_and_login() {
    let stage = Stage::new().await;
    let open = ("REGFLOW__SERVER__HTTP", "0.0.0.0:0");
    let required = ("REGFLOW__ACCESS__MODE", "required");
    let tls = [("REGFLOW__SERVER__TLS_CERTIFICATE", "c.pem"), ("REGFLOW__SERVER__TLS_KEY", "k.pem")];
    for (settings, remedy) in [
        (vec![open], "set server.tls_certificate and server.tls_key, and set access.mode = \"required\""),
        (vec![open, required], "set server.tls_certificate and server.tls_key"),
        (vec![open, tls[0], tls[1]], "set access.mode = \"required\""),
        (vec![("REGFLOW__SERVER__GRPC", "[::]:0"), required], "server.grpc is [::]:0"),
    ] {
        let (code, said) = refusal(stage.command().envs(settings.clone())).await;
        assert!(code == Some(2) && said.contains(remedy), "{settings:?}: {code:?} {said}");
    }
    let exposed = "REGFLOW_TOKEN";
    let output = regflow()
        .args(["list", "--server", "http://regflow.invalid:7460"])
        .env(exposed, "rf_x")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("https://"), "{said}");
}
