// Prints a token for a content: node play_token.mjs CONTENT_ID VIEWER
// SIGNING_KEY_FILE is the file that `vylux-pack signing-key create --out` wrote, SIGNING_KEY_ID what it printed.
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const key = createPrivateKey(readFileSync(process.env.SIGNING_KEY_FILE));
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function token(contentId, viewer, seconds = 300) {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: 'ES256', typ: 'JWT', kid: process.env.SIGNING_KEY_ID };
  const claims = { content_id: contentId, sub: viewer, iat: now, exp: now + seconds };
  const message = `${base64url(header)}.${base64url(claims)}`;
  // JWS wants r and s, 32 bytes each (RFC 7518, 3.4), and not the DER that is Node's default.
  const signature = sign('sha256', Buffer.from(message), { key, dsaEncoding: 'ieee-p1363' });
  return `${message}.${signature.toString('base64url')}`;
}

console.log(token(process.argv[2], process.argv[3]));
