// Has Shaka Player and hls.js show keyframes alone, on a page in Chromium that has nothing else, and says which ranges were asked for
// and which frames were seen. Judging that is the work of tests/browser.rs, which starts this with the cases as JSON on standard input;
// each answer is a line of JSON.

import { readFileSync } from 'node:fs';

import { answerAll, OWN_PAGE, replaceKeys } from './cases.mjs';

const { playwright, chromium: executablePath, cases } = JSON.parse(readFileSync(0, 'utf8'));

/** How long frames may take to be seen. */
const PATIENCE_MS = 30_000;
/** The same with keys that open nothing. */
const WRONG_PATIENCE_MS = 10_000;
/** How many seconds of film are to be ahead of the picture; what is fetched behind them is fetched for trick play. */
const BUFFERED_SECONDS = 4;

const PAGE = '<!doctype html><title>I-frames</title><video id="video" muted width="320" height="180"></video>';

const SCRIPTS = { shaka: '/player/shaka-player-5.2.12.js', hls: '/player/hls-1.7.4.min.js' };

/**
 * Each loads a film and calls `failed` with what the player complains of. `trick` then shows keyframes: in Shaka Player by a faster
 * film, in hls.js at the times of the task.
 */
const PLAYERS = {
  shaka: async ({ url, token, with_iframes: withIframes, rate, buffered }, failed) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener('error', ({ detail }) => failed(`${detail.code} ${detail.data}`));
    player.configure({ streaming: { bufferingGoal: buffered } });
    const { KEY, LICENSE } = shaka.net.NetworkingEngine.RequestType;
    player.getNetworkingEngine().registerRequestFilter((type, request) => {
      if (token && (type === KEY || type === LICENSE)) request.headers.Authorization = `Bearer ${token}`;
    });
    await player.attach(document.getElementById('video'));
    await player.load(url).catch((error) => failed(`${error.code} ${error.data}`));
    window.trick = () => { document.getElementById('video').play().catch(() => {}); player.trickPlay(rate, withIframes); };
  },
  hls: async ({ url, token, times }, failed) => {
    const keyids = (kid) => {
      const base64url = btoa(String.fromCharCode(...kid)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
      return { initDataType: 'keyids', initData: new TextEncoder().encode(JSON.stringify({ kids: [base64url] })).buffer };
    };
    const hls = new Hls({
      emeEnabled: true,
      drmSystems: { 'org.w3.clearkey': { licenseUrl: 'unused:', generateRequest: (_type, _data, { decryptdata }) => keyids(decryptdata.keyId) } },
      licenseXhrSetup(xhr, _, { decryptdata }) {
        xhr.open('POST', decryptdata.uri);
        xhr.setRequestHeader('Authorization', `Bearer ${token}`);
      },
    });
    const fail = (_, { fatal, details, error }) => failed(`${fatal ? 'fatal ' : ''}${details} ${error?.message}`);
    hls.on(Hls.Events.ERROR, fail);
    const ready = new Promise((resolve) => { hls.on(Hls.Events.LEVEL_LOADED, resolve); });
    hls.loadSource(url);
    await ready;
    const frames = hls.createIFramePlayer();
    frames.on(Hls.Events.ERROR, fail);
    frames.attachMedia(document.getElementById('video'));
    // One after the other: the next when the frame before is seen. A time is asked for again until then, as whoever drags along a
    // seek bar does.
    window.trick = async () => {
      for (const time of times) {
        const seen = () => window.frames.some((frame) => frame <= time && time < frame + 1);
        while (!seen()) {
          frames.loadMediaAt(time, { seekOnAppend: true });
          await new Promise((resolve) => { window.seen = resolve; setTimeout(resolve, 1000); });
        }
      }
      window.isDone = true;
    };
  },
};

await answerAll({ playwright, executablePath, cases, args: OWN_PAGE }, play);

async function play(page, task) {
  const ranges = [];
  const keys = [];
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { range } = request.headers();
    if (range) ranges.push([new URL(request.url()).pathname, range]);
  });
  page.on('response', (response) => {
    if (new URL(response.url()).pathname.startsWith('/api/key/') && response.request().method() !== 'OPTIONS') keys.push(response.status());
  });
  if (task.wrong_key) await replaceKeys(page);
  const address = new URL('/iframes.html', task.page).href;
  await page.route(address, (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
  await page.goto(address);
  await page.addScriptTag({ url: SCRIPTS[task.player] });
  await page.evaluate(() => {
    const video = document.getElementById('video');
    window.complaints = [];
    window.frames = [];
    window.seen = () => {};
    const look = (_, { mediaTime }) => { window.frames.push(mediaTime); window.seen(); video.requestVideoFrameCallback(look); };
    video.requestVideoFrameCallback(look);
  });
  await page.evaluate(`(${PLAYERS[task.player]})(${JSON.stringify({ ...task, buffered: BUFFERED_SECONDS })}, (what) => window.complaints.push(what))`);
  await page.evaluate(() => { window.trick(); });
  const over = await page.waitForFunction(
    (until) => {
      const video = document.getElementById('video');
      if (video.error) return 'error';
      return (window.isDone || window.frames.at(-1) >= until) && 'seen';
    },
    task.until ?? Infinity,
    { timeout: task.wrong_key ? WRONG_PATIENCE_MS : PATIENCE_MS, polling: 50 },
  ).then((handle) => handle.jsonValue(), () => 'nothing');
  const rest = await page.evaluate(() => {
    const video = document.getElementById('video');
    const { frames, complaints } = window;
    return { frames, complaints, seconds: video.currentTime, error: video.error?.message };
  });
  return { ...rest, over, ranges, keys, complaints: [...complaints, ...rest.complaints] };
}
