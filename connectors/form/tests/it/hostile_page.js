// Tries to reach every target in every way, then lets the form be sent.
const targets = TARGETS;
const room = document.getElementById('room');
const add = (tag, attributes) => {
  const element = Object.assign(document.createElement(tag), attributes);
  room.append(element);
  return element;
};
const ended = element => new Promise(resolve => { element.onload = element.onerror = resolve; });
const marked = (target, way) => target.includes('?') || target.includes('#') ? target : `${target}?way=${way}`;
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
// its own page loads, then where that goes
const frame = html => ended(add('iframe', { srcdoc: html })).then(() => pause(300));
const socket = target => target.replace(/^http/, 'ws');
const quoted = text => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

const ways = {
  img: url => ended(add('img', { src: url })),
  script: url => ended(add('script', { src: url })),
  style: url => ended(add('link', { rel: 'stylesheet', href: url })),
  iframe: url => ended(add('iframe', { src: url })),
  object: url => ended(add('object', { data: url })),
  fetch: url => fetch(url, { mode: 'no-cors', method: 'POST', body: 'x' }),
  beacon: url => navigator.sendBeacon(url, 'x'),
  socket: url => new Promise(resolve => { const opened = new WebSocket(socket(url)); opened.onerror = opened.onclose = resolve; }),
  events: url => new Promise(resolve => { const source = new EventSource(url); source.onerror = () => { source.close(); resolve(); }; }),
  worker: url => {
    const code = `fetch(${JSON.stringify(url)}, { mode: 'no-cors' }).finally(() => postMessage(0))`;
    const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
    return new Promise(resolve => { worker.onmessage = worker.onerror = resolve; }).then(() => worker.terminate());
  },
  form: url => frame(`<form id=f method=post action="${quoted(url)}"></form><script>f.submit()<` + '/script>'),
  refresh: url => frame(`<meta http-equiv=refresh content="0;url=${quoted(url)}">`),
  redirect: url => fetch(`/to?${encodeURIComponent(url)}`, { mode: 'no-cors' }),
  redirected: url => ended(add('iframe', { src: `/to?${encodeURIComponent(url)}` })),
  window: url => { open(url)?.close(); },
  preload: url => add('link', { rel: 'preload', as: 'image', href: url }),
  prefetch: url => add('link', { rel: 'prefetch', href: url }),
  connect: url => { add('link', { rel: 'preconnect', href: url }); add('link', { rel: 'dns-prefetch', href: url }); },
  video: url => add('video', { src: url }),
  embed: url => add('embed', { src: url }),
  css: url => { add('div', { style: `background: url("${url.replaceAll('"', '')}")` }); },
  transport: url => new WebTransport(url.replace(/^http:/, 'https:')).ready,
  calls: url => {
    const { hostname, port } = new URL(url);
    const servers = ['stun', 'turn'].flatMap(kind => ['udp', 'tcp'].map(by => ({
      urls: `${kind}:${hostname}:${port}${kind === 'turn' ? `?transport=${by}` : ''}`, username: 'u', credential: 'c',
    })));
    const peer = new RTCPeerConnection({ iceServers: servers });
    peer.createDataChannel('x');
    return peer.createOffer().then(offer => peer.setLocalDescription(offer))
      .then(() => pause(400)).then(() => peer.close());
  },
};
// one is enough of what costs a process or a thread each
const FEW = new Set(['worker', 'window', 'calls', 'object', 'embed', 'iframe', 'redirected', 'form', 'refresh', 'transport', 'video']);
const FEW_MAX = 8;
const within = (ms, promise) => Promise.race([promise, pause(ms)]);

(async () => {
  for (const [way, go] of Object.entries(ways)) {
    const chosen = FEW.has(way) ? targets.filter((_, index) => index % Math.ceil(targets.length / FEW_MAX) === 0) : targets;
    const gone = chosen.map(async target => go(marked(target, way)));
    await within(1000, Promise.allSettled(gone));
    room.replaceChildren();
  }
  document.getElementById('send').disabled = false;
})();
