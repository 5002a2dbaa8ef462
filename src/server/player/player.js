// The page at /player. Two adapters play (hls.js and Shaka Player); everything else is what both tell.

const byId = (id) => document.getElementById(id);
const video = byId('video');

/* ---- leases ------------------------------------------------------------------------------------ */

const LEASE_RENEWED_AT = 0.75; // of its time
const RETRY_MS = 100; // at least
const OUTAGES = [429, 503];

/** How long to wait before something is tried again that has to be done until then: several times, and not all at once. */
const untilRetry = (ends) => Math.max(RETRY_MS, (ends - performance.now()) / 4);

/** The leases of what is played: one for each content, taken when its first key is asked for, and renewed until the end. */
class Leases {
  constructor(token, told) {
    this.token = token;
    this.told = told;
    this.taken = new Map();
    this.timers = new Set();
    this.isOver = false;
  }

  /** What a request for the key at this address needs besides a token: nothing, where the server gives no leases. */
  async headers(keyUrl) {
    const [, base, content] = /^(https?:.*)\/(?:api\/key|keys)\/([\w-]+)(?:\/[\w-]+)?$/.exec(keyUrl) ?? [];
    // A lease is for whom a token names.
    if (!content || !this.token) return {};
    if (!this.taken.has(content)) this.taken.set(content, this.take(`${base}/keys/leases`, content));
    const id = await this.taken.get(content);
    return id ? { 'X-Lease-Id': id } : {};
  }

  async take(url, content) {
    const { lease, status } = await this.ask(url, { contentId: content });
    // The server gives no leases, or none of this content.
    if (!lease && status !== 404 && status !== 405) this.taken.delete(content);
    if (!lease) return null;
    this.told.log('Lease', content, milliseconds(lease.ttlMs));
    this.renewLater(url, content, lease);
    return lease.leaseId;
  }

  renewLater(url, content, { leaseId, ttlMs }) {
    const ends = performance.now() + ttlMs;
    this.later(ttlMs * LEASE_RENEWED_AT, async () => {
      const { lease, again } = await this.ask(`${url}/renew`, { leaseId }, ends);
      if (lease) {
        this.told.log('Lease', `${content} renewed`, milliseconds(lease.ttlMs));
        this.renewLater(url, content, lease);
      }
      return again;
    });
  }

  /** Does something in a while, and once more whenever it says in how many milliseconds. */
  later(wait, work) {
    if (this.isOver) return;
    const timer = setTimeout(async () => {
      this.timers.delete(timer);
      const again = await work();
      if (again) this.later(again, work);
    }, wait);
    this.timers.add(timer);
  }

  /** The lease that is answered, or the status in its place; a refusal is told, unless it may be otherwise before `ends`. */
  async ask(url, body, ends = 0) {
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token}` },
        body: JSON.stringify(body),
      });
      const { status } = answer;
      if (answer.ok) return { lease: await answer.json() };
      const retryAfter = answer.headers.get('retry-after');
      const again = Math.max(untilRetry(ends), Number(retryAfter) * 1000 || 0);
      if (OUTAGES.includes(status) && performance.now() + again < ends) return { again };
      if (status !== 404 && status !== 405) this.told.refused('key', url, status, await answer.text(), retryAfter);
      return { status };
    } catch {
      // It can't be reached: the key itself is asked for next, and says so.
      return performance.now() < ends ? { again: untilRetry(ends) } : {};
    }
  }

  stop() {
    this.isOver = true;
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/* ---- players ---------------------------------------------------------------------------------- */

const utf8 = (text) => new TextEncoder().encode(text);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

// The same configuration is in docs/players.md, for other pages.
async function playWithHls(url, token, told, leases) {
  await script('/player/hls-1.7.4.min.js');
  if (!Hls.isSupported()) throw new Error('hls.js needs Media Source Extensions, which this browser does not have.');
  // hls.js hands SAMPLE-AES to the browser's Clear Key system where the key's format says so. The packager writes the
  // format that most players know, identity.
  class ClearKeyPlaylistLoader extends Hls.DefaultConfig.loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...rest) => {
        if (typeof response.data === 'string') {
          response.data = response.data.replace(/^#EXT-X-(?:SESSION-)?KEY:.*METHOD=SAMPLE-AES.*$/gm, (line) =>
            /KEYFORMAT=/.test(line)
              ? line.replace('KEYFORMAT="identity"', 'KEYFORMAT="org.w3.clearkey"')
              : `${line},KEYFORMAT="org.w3.clearkey"`);
        }
        callbacks.onSuccess(response, ...rest);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  }
  // Keys of METHOD=AES-128 are loaded like media, and alone need the token.
  class KeyLoader extends Hls.DefaultConfig.loader {
    async load(context, config, callbacks) {
      if (!context.keyInfo) {
        super.load(context, config, callbacks);
        return;
      }
      if (token) context.headers = { ...context.headers, Authorization: `Bearer ${token}`, ...await leases.headers(context.url) };
      const onSuccess = (response, stats, ...rest) => {
        told.key(context.url, stats.loading.end - stats.loading.start);
        callbacks.onSuccess(response, stats, ...rest);
      };
      const onError = (error, loaded, xhr, ...rest) => {
        const body = new TextDecoder().decode(xhr?.response ?? new Uint8Array());
        told.refused('key', context.url, error.code, body, xhr?.getResponseHeader('retry-after'));
        callbacks.onError(error, loaded, xhr, ...rest);
      };
      // It may have been stopped meanwhile.
      if (!told.isOver) super.load(context, config, { ...callbacks, onSuccess, onError });
    }
  }
  const hls = new Hls({
    loader: KeyLoader,
    pLoader: ClearKeyPlaylistLoader,
    emeEnabled: true,
    drmSystems: {
      'org.w3.clearkey': {
        licenseUrl: 'unused:',
        generateRequest: (initDataType, initData, context) => {
          const kid = context.decryptdata.keyId;
          return kid
            ? { initDataType: 'keyids', initData: utf8(JSON.stringify({ kids: [base64url(kid)] })).buffer }
            : { initDataType, initData };
        },
      },
    },
    async licenseXhrSetup(xhr, _, context) {
      const uri = context.decryptdata.uri;
      const lease = await leases.headers(uri);
      xhr.open('GET', uri, true);
      if (token) xhr.setRequestHeader('Authorization', `Bearer ${token}`);
      for (const [name, value] of Object.entries(lease)) xhr.setRequestHeader(name, value);
      const begun = performance.now();
      xhr.addEventListener('loadend', () => {
        const milliseconds = performance.now() - begun;
        if (xhr.status === 200) told.key(uri, milliseconds);
        else told.refused('key', uri, xhr.status, new TextDecoder().decode(xhr.response ?? new Uint8Array()), xhr.getResponseHeader('retry-after'), milliseconds);
      });
    },
    licenseResponseCallback: (xhr, _, context) => {
      const key = { kty: 'oct', k: base64url(xhr.response), kid: base64url(context.decryptdata.keyId) };
      return utf8(JSON.stringify({ keys: [key], type: 'temporary' })).buffer;
    },
  });
  const name = (level) => qualityName(level, level?.bitrate);
  hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => told.qualities(levels.map(name)));
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
    const { loading, total } = (part ?? frag).stats;
    if (frag.sn !== 'initSegment') told.fragment(frag.url, loading.end - loading.start, total);
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => told.quality(name(hls.levels[level])));
  // Those of the group that belongs to the quality.
  const showAudio = () => told.audio(hls.audioTracks.map(({ name }) => name), hls.audioTrack);
  hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, showAudio);
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, () => {
    showAudio();
    // Of sound alone in another language than the default one, no level is switched, but for its group.
    if (!video.videoWidth) told.quality(name(hls.levels[hls.loadLevel]));
  });
  hls.on(Hls.Events.ERROR, (_, { fatal, details, error, response, url, frag }) => {
    // What the key server said is told above, as soon as its answer ends.
    if (details === Hls.ErrorDetails.KEY_SYSTEM_LICENSE_REQUEST_FAILED || details === Hls.ErrorDetails.KEY_LOAD_ERROR) return;
    if (response?.code >= 400) told.refused('media', url ?? frag?.url ?? '', response.code, '');
    else if (fatal) told.failed(details, error?.message ?? '');
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  return {
    setQuality: (index) => { hls.currentLevel = index; },
    setAudio: (index) => {
      hls.audioTrack = index;
      // Of sound alone, hls.js (1.7.4) would play what it has of the other language to its end.
      if (!video.videoWidth) hls.trigger(Hls.Events.BUFFER_FLUSHING, { startOffset: 0, endOffset: Infinity, type: 'audio' });
    },
    stop: async () => hls.destroy(),
  };
}

async function playWithShaka(url, token, told, leases) {
  await script('/player/shaka-player-5.2.12.js');
  shaka.polyfill.installAll();
  if (!shaka.Player.isBrowserSupported()) throw new Error('Shaka Player does not support this browser.');
  const player = new shaka.Player();
  const { RequestType } = shaka.net.NetworkingEngine;
  const isKey = (type) => type === RequestType.KEY || type === RequestType.LICENSE;
  const network = player.getNetworkingEngine();
  network.registerRequestFilter(async (type, request) => {
    if (!isKey(type) || !token) return;
    Object.assign(request.headers, { Authorization: `Bearer ${token}` }, await leases.headers(request.uris[0]));
  });
  network.registerResponseFilter((type, response, context) => {
    // Shaka Player makes itself a licence of the key (data:), which is not fetched, and not to be shown.
    if (isKey(type) && /^https?:/.test(response.uri)) told.key(response.uri, response.timeMs ?? 0);
    const isInit = context?.type === shaka.net.NetworkingEngine.AdvancedRequestType.INIT_SEGMENT;
    if (type === RequestType.SEGMENT && !isInit) told.fragment(response.uri, response.timeMs ?? 0, response.data.byteLength);
  });
  const name = (variant) => qualityName(variant, variant?.bandwidth);
  const fail = (error) => {
    const { Code } = shaka.util.Error;
    const [uri, status, body, headers, type] = error.data ?? [];
    if (error.code === Code.BAD_HTTP_STATUS) told.refused(isKey(type) ? 'key' : 'media', uri, status, body, headers?.['retry-after']);
    else if (error.code === Code.HTTP_ERROR) told.refused(isKey(error.data?.[2]) ? 'key' : 'media', uri, 0, '');
    else if (error.data?.[0]?.code === Code.BAD_HTTP_STATUS || error.data?.[0]?.code === Code.HTTP_ERROR) fail(error.data[0]);
    else if (![Code.LOAD_INTERRUPTED, Code.OPERATION_ABORTED].includes(error.code) && error.severity !== shaka.util.Error.Severity.RECOVERABLE) {
      const code = Object.keys(Code).find((key) => Code[key] === error.code);
      told.failed(code ? `Shaka Player: ${code}` : 'Shaka Player', error.code ? `error ${error.code}` : String(error));
    }
  };
  // A refused key does not become right by asking again.
  player.configure({ drm: { retryParameters: { maxAttempts: 1 } } });
  player.addEventListener('error', (event) => fail(event.detail));
  // What it was doing when it failed or was stopped, it rejects in promises that nobody holds.
  const heed = (event) => {
    if (!(event.reason instanceof shaka.util.Error)) return;
    event.preventDefault();
    fail(event.reason);
  };
  addEventListener('unhandledrejection', heed);
  let qualities = [];
  const showQuality = () => told.quality(name(player.getVariantTracks().find((track) => track.active)));
  let audio = [];
  const showAudio = () => {
    audio = player.getAudioTracks();
    told.audio(audio.map(({ label, language }) => label || language), audio.findIndex(({ active }) => active));
  };
  for (const event of ['adaptation', 'variantchanged']) player.addEventListener(event, () => { showQuality(); showAudio(); });
  try {
    await player.attach(video);
    await player.load(url);
    qualities = [...new Set(player.getVariantTracks().sort((a, b) => b.bandwidth - a.bandwidth).map(name))];
    told.qualities(qualities);
    showQuality();
    showAudio();
  } catch (error) {
    fail(error);
  }
  return {
    setQuality: (index) => {
      player.configure({ abr: { enabled: index < 0 } });
      if (index < 0) return;
      const tracks = player.getVariantTracks();
      const now = tracks.find(({ active }) => active);
      const ofQuality = tracks.filter((track) => name(track) === qualities[index]);
      const isSameSound = ({ language, label }) => language === now?.language && label === now?.label;
      player.selectVariantTrack(ofQuality.find(isSameSound) ?? ofQuality[0], true);
    },
    setAudio: (index) => player.selectAudioTrack(audio[index]),
    stop: async () => {
      await player.destroy();
      setTimeout(() => removeEventListener('unhandledrejection', heed), 1000);
    },
  };
}

const loadedScripts = new Map();
function script(source) {
  if (!loadedScripts.has(source)) {
    loadedScripts.set(source, new Promise((resolve, reject) => {
      const element = document.createElement('script');
      element.src = source;
      element.onload = resolve;
      element.onerror = () => { loadedScripts.delete(source); reject(new Error(`${source} can't be loaded.`)); };
      document.head.append(element);
    }));
  }
  return loadedScripts.get(source);
}

/* ---- what the page says ----------------------------------------------------------------------- */

const milliseconds = (number) => (number < 1000 ? `${Math.max(1, Math.round(number))} ms` : `${(number / 1000).toFixed(2)} s`);
const bytes = (number) => (number < 1e6 ? `${(number / 1e3).toFixed(0)} kB` : `${(number / 1e6).toFixed(1)} MB`);
const qualityName = (of, bitsPerSecond) => (of?.height ? `${of.height}p` : `${Math.round((bitsPerSecond ?? 0) / 1000)} kbit/s`);
const count = (number, word, many = `${word}s`) => `${number} ${number === 1 ? word : many}`;

function shortened(url) {
  try {
    const { origin, pathname } = new URL(url, location);
    return (origin === location.origin ? '' : origin) + pathname;
  } catch {
    return String(url);
  }
}

function setState(state, text) {
  byId('state').dataset.state = state;
  byId('state').textContent = text;
}

/** What one answer means to the person who looks at it. */
function explain(what, url, status, problem, retryAfter, hadToken) {
  const host = new URL(url, location).origin;
  if (what === 'media') {
    if (status === 404) return ['The media is not there', `${shortened(url)} was not found. Was it encrypted into the folder that --media names?`];
    if (status) return ['The media was refused', `${shortened(url)} was answered with status ${status}.`];
    return ['The media can\u2019t be reached', `${host} does not answer, or does not allow pages of ${location.origin} (CORS).`];
  }
  if (problem === 'urn:vylux-pack:problem:no-lease') return ['The lease has ended', 'It was revoked, gave way to another of the viewer\u2019s players (LEASE_MAX_PER_VIEWER), or was not renewed in time. Press Play to take another one.'];
  switch (status) {
    case 0: return ['The key server can\u2019t be reached', `${host} does not answer, or does not allow pages of ${location.origin}: open this page at ${host}/player, or name ${location.origin} in its CORS_ORIGINS.`];
    case 400: return ['The key server can\u2019t read the request', `Is ${shortened(url)} the key\u2019s address that you expect?`];
    case 401: return ['A token is needed', hadToken ? 'The token did not arrive as a Bearer token.' : 'No token was sent. Paste one for this content, or mint it.'];
    case 403: return ['The token does not open this content', 'It is expired, signed with another secret, for another content ID, or names no viewer where the server gives leases. The server\u2019s log has the exact reason.'];
    case 409: return ['The viewer plays as much as they may', 'Each of a viewer\u2019s players needs a lease, and LEASE_MAX_PER_VIEWER is reached. Stop another one, or wait until its lease ends.'];
    case 404: return ['There is no such key', 'The token is right, but the key server has no record of this content. Does it use the record store that encrypt wrote to? If not: vylux-pack keys import.'];
    case 429: return ['Too many requests', `The key server asks to wait${retryAfter ? ` ${count(Number(retryAfter), 'second')}` : ''}, then press Play again. RATE_LIMIT_KEYS is its limit.`];
    case 503: return ['The key server has an outage', 'Its record store, or the key set that it checks tokens with, can\u2019t be reached. It recovers by itself; press Play again.'];
    default: return ['The key was refused', `The key server answered with status ${status}.`];
  }
}

class Session {
  constructor(token) {
    this.hadToken = Boolean(token);
    this.begun = performance.now();
    this.keys = [];
    this.fragments = [];
    this.stalls = 0;
    this.stalledFor = 0;
    this.stalledSince = null;
    this.switches = 0;
    this.currentQuality = null;
    this.currentAudio = null;
    this.isOver = false;
    this.hasFrame = false;
    this.leases = new Leases(token, this);
    byId('log').replaceChildren();
    byId('error').hidden = true;
    for (const id of ['first-frame', 'key-fetch', 'fragment-load', 'buffer']) byId(id).textContent = '–';
    byId('stalls').textContent = byId('switches').textContent = '0';
    byId('key-fetch-more').textContent = 'no key yet';
    byId('fragment-load-more').textContent = 'no fragment yet';
    byId('stalls-more').textContent = 'while playing';
    byId('quality-now').textContent = 'no quality yet';
    byId('frames').textContent = 'ahead of the clock';
  }

  log(what, text, more = '', isBad = false) {
    const line = document.createElement('li');
    line.toggleAttribute('data-bad', isBad);
    const seconds = ((performance.now() - this.begun) / 1000).toFixed(3);
    for (const part of [`${seconds} s`, what, text, more]) {
      const span = document.createElement('span');
      span.textContent = part;
      line.append(span);
    }
    byId('log').prepend(line);
    while (byId('log').childElementCount > 300) byId('log').lastElementChild.remove();
  }

  key(url, took) {
    if (this.isOver) return;
    this.keys.push(took);
    byId('key-fetch').textContent = milliseconds(took);
    byId('key-fetch-more').textContent = count(this.keys.length, 'key');
    this.log('Key', shortened(url), milliseconds(took));
  }

  fragment(url, took, size) {
    if (this.isOver) return;
    this.fragments.push(took);
    const mean = this.fragments.reduce((sum, each) => sum + each, 0) / this.fragments.length;
    byId('fragment-load').textContent = milliseconds(mean);
    byId('fragment-load-more').textContent = `mean of ${this.fragments.length}, longest ${milliseconds(Math.max(...this.fragments))}`;
    this.log('Fragment', shortened(url), `${bytes(size)}, ${milliseconds(took)}`);
  }

  qualities(names) {
    const options = names.map((name, index) => new Option(name, String(index)));
    byId('quality').replaceChildren(new Option('Automatic', 'auto'), ...options);
    byId('quality').disabled = names.length < 2;
  }

  quality(name) {
    if (name === this.currentQuality) return;
    if (this.currentQuality !== null) this.switches += 1;
    this.currentQuality = name;
    byId('switches').textContent = String(this.switches);
    byId('quality-now').textContent = `now ${name}`;
    this.log('Quality', name);
  }

  audio(names, active) {
    byId('audio').replaceChildren(...names.map((name, index) => new Option(name, String(index), false, index === active)));
    byId('audio-row').hidden = names.length < 2;
    const name = names[active];
    if (!name || name === this.currentAudio) return;
    this.currentAudio = name;
    if (names.length > 1) this.log('Audio', name);
  }

  refused(what, url, status, body, retryAfter = null, took = null) {
    if (this.isOver) return;
    let problem = {};
    try { problem = JSON.parse(body) ?? {}; } catch { /* not the key server's own answer */ }
    const requestId = problem.request_id ?? '';
    const [title, text] = explain(what, url, status, problem.type, retryAfter, this.hadToken);
    this.log(what === 'key' ? 'Key' : 'Media', `${shortened(url)}: ${title}`, took === null ? '' : milliseconds(took), true);
    this.end(status || 'No answer', title, text, requestId && `Request ${requestId}`);
  }

  failed(title, text) {
    if (this.isOver) return;
    this.log('Failed', `${title} ${text}`, '', true);
    this.end('Failed', 'The film can\u2019t be played', `${title}. ${text} With a key that is not this content\u2019s, pictures and sound can\u2019t be decoded.`, '');
  }

  end(code, title, text, request) {
    this.isOver = true;
    byId('error-code').textContent = code;
    byId('error-title').textContent = title;
    byId('error-text').textContent = text;
    byId('error-request').textContent = request;
    byId('error').hidden = false;
    setState('failed', title);
    // Later, for a player must not be taken away inside of its own callback.
    setTimeout(() => { if (session === this) stop(); }, 0);
  }

  firstFrame() {
    if (this.hasFrame || this.isOver) return;
    this.hasFrame = true;
    const took = performance.now() - this.begun;
    byId('first-frame').textContent = milliseconds(took);
    this.log('First frame', '', milliseconds(took));
  }

  waiting() {
    if (!this.hasFrame || this.isOver || video.seeking || video.ended || this.stalledSince !== null) return;
    this.stalledSince = performance.now();
    this.stalls += 1;
    byId('stalls').textContent = String(this.stalls);
    this.log('Stall', `at ${video.currentTime.toFixed(2)} s`, '', true);
  }

  playing() {
    if (this.isOver) return;
    // Of sound alone there is no picture to wait for.
    if (!video.videoWidth) this.firstFrame();
    if (this.stalledSince !== null) this.stalledFor += performance.now() - this.stalledSince;
    this.stalledSince = null;
    if (this.stalls) byId('stalls-more').textContent = `${milliseconds(this.stalledFor)} in all`;
    setState('playing', 'Playing');
  }

  look() {
    if (this.isOver || !this.hasFrame) return;
    const ranges = video.buffered;
    let ahead = 0;
    for (let at = 0; at < ranges.length; at += 1) {
      if (ranges.start(at) <= video.currentTime && video.currentTime <= ranges.end(at)) ahead = ranges.end(at) - video.currentTime;
    }
    byId('buffer').textContent = `${ahead.toFixed(1)} s`;
    const { droppedVideoFrames: dropped, totalVideoFrames: total } = video.getVideoPlaybackQuality();
    byId('frames').textContent = `${dropped} of ${count(total, 'frame')} dropped`;
  }
}

/* ---- what the person does --------------------------------------------------------------------- */

const OTHER = 'other';
let assets = [];
let session = null;
let player = null;

const chosen = () => assets[Number(byId('asset').value)];
const mediaUrl = () => (chosen() ? new URL(`/media/${chosen().path.split('/').map(encodeURIComponent).join('/')}`, location).href : byId('address').value.trim());

function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

function showAsset() {
  const asset = chosen();
  byId('address-row').hidden = Boolean(asset);
  byId('address').required = !asset;
  const qualities = asset?.video.filter(({ height }) => height).map(({ height }) => `${height}p`) ?? [];
  byId('asset-more').textContent = asset
    ? [clock(asset.duration_seconds), qualities.join(', '), asset.audio.length > 1 && `audio ${asset.audio.join(', ')}`, asset.content_id ? `content ID ${asset.content_id}` : 'not encrypted'].filter(Boolean).join(' · ')
    : '';
}

async function start() {
  await stop();
  const token = byId('token').value.trim();
  const mine = new Session(token);
  session = mine;
  setState('loading', 'Loading');
  byId('hint').hidden = true;
  video.controls = true;
  byId('stop').disabled = false;
  video.requestVideoFrameCallback?.(() => mine.firstFrame());
  // Starts as soon as there is something, and from within the press of the button, as browsers ask.
  video.autoplay = true;
  try {
    const play = new FormData(byId('form')).get('player') === 'shaka' ? playWithShaka : playWithHls;
    const made = await play(mediaUrl(), token, mine, mine.leases);
    if (session === mine && !mine.isOver) player = made;
    else await made.stop();
  } catch (error) {
    mine.failed(error.message, '');
  }
}

async function stop() {
  const old = player;
  player = null;
  if (session && !session.isOver) {
    session.isOver = true;
    setState('idle', 'Stopped');
  }
  session?.leases.stop();
  byId('stop').disabled = true;
  byId('quality').disabled = true;
  byId('audio-row').hidden = true;
  if (old) await old.stop();
  video.removeAttribute('src');
  video.load();
  // Without a film, controls would only turn their wheel.
  video.controls = false;
  byId('hint').hidden = false;
}

async function mint() {
  const content = chosen()?.content_id;
  if (!content) {
    byId('token-more').textContent = 'Choose an encrypted asset first.';
    return;
  }
  const answer = await fetch('/player/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ content_id: content }),
  });
  if (!answer.ok) {
    byId('token-more').textContent = answer.status === 404
      ? 'Tokens are minted for this machine alone: open this page at localhost.'
      : `No token: the server answered with status ${answer.status}.`;
    return;
  }
  const { token, expires } = await answer.json();
  byId('token').value = token;
  byId('token-more').textContent = `For ${content}, good until ${new Date(expires * 1000).toLocaleTimeString()}.`;
}

async function begin() {
  const answer = await fetch('/player/assets');
  if (!answer.ok) throw new Error(`/player/assets: status ${answer.status}`);
  const list = await answer.json();
  assets = list.assets;
  const options = assets.map((asset, index) => new Option(asset.path.replace(/\/?master\.m3u8$/, '') || 'master.m3u8', String(index)));
  byId('asset').replaceChildren(...options, new Option('Another address …', OTHER));
  if (!assets.length) byId('hint').textContent = 'There is no asset below --media yet: encrypt one, and load this page again';
  byId('token-more').textContent = {
    minted: '',
    'not-needed': 'This server runs with --insecure-no-auth: it needs no token.',
    pasted: 'Your application mints them; for a test: vylux-pack token mint --content-id ID',
  }[list.tokens];
  byId('mint').hidden = list.tokens !== 'minted';
  showAsset();
}

byId('form').addEventListener('submit', (event) => { event.preventDefault(); start(); });
byId('stop').addEventListener('click', stop);
byId('mint').addEventListener('click', mint);
byId('asset').addEventListener('change', showAsset);
byId('quality').addEventListener('change', ({ target }) => player?.setQuality(target.value === 'auto' ? -1 : Number(target.value)));
byId('audio').addEventListener('change', ({ target }) => player?.setAudio(Number(target.value)));
video.addEventListener('waiting', () => session?.waiting());
video.addEventListener('playing', () => session?.playing());
video.addEventListener('pause', () => { if (session && !session.isOver) setState('idle', video.ended ? 'Ended' : 'Paused'); });
video.addEventListener('error', () => { if (video.error && session) session.failed('The browser can\u2019t decode it', video.error.message); });
setInterval(() => session?.look(), 500);
begin().catch((error) => setState('failed', error.message));
