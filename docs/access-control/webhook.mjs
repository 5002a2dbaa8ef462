// A web service that decides who may have keys: WEBHOOK_SECRET=... PORT=8080 node webhook.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error('WEBHOOK_SECRET is missing');

// No question is larger, in bytes.
const MAX_BODY = 1 << 20;

// Whether the question is the key server's, and no older than five minutes.
function isGenuine(field, body) {
  const [, seconds, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(field ?? '') ?? [];
  if (!v1 || Math.abs(Date.now() / 1000 - Number(seconds)) > 300) return false;
  const expected = createHmac('sha256', secret).update(`${seconds}.`).update(body).digest();
  return timingSafeEqual(expected, Buffer.from(v1, 'hex'));
}

// Replace this by what your application knows of its viewers.
const mayPlay = ({ contentId, viewerToken }) => viewerToken === `a viewer of ${contentId}`;

// The status of the answer: 200 allows, and nothing else does.
async function answer(request) {
  // The key server always says how long its question is.
  if (!(Number(request.headers['content-length']) <= MAX_BODY)) return 413;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  return isGenuine(request.headers['x-vylux-signature-v2'], body) && mayPlay(JSON.parse(body)) ? 200 : 403;
}

const server = createServer(async (request, response) => {
  let status = 500;
  try {
    status = await answer(request);
  } catch (error) {
    // Also when whoever asks hangs up, which must not end the service.
    console.error(error.message);
  }
  response.writeHead(status).end();
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
