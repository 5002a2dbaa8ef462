"""Prints a token for a content: python3 play_token.py CONTENT_ID VIEWER

SIGNING_KEY_FILE is the file that `vylux-pack signing-key create --out` wrote, SIGNING_KEY_ID what it printed.
Needs PyJWT and cryptography: pip install pyjwt[crypto]
"""

import os
import sys
import time
from pathlib import Path

import jwt

KEY = Path(os.environ["SIGNING_KEY_FILE"]).read_text()


def token(content_id: str, viewer: str, seconds: int = 300) -> str:
    now = int(time.time())
    claims = {"content_id": content_id, "sub": viewer, "iat": now, "exp": now + seconds}
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": os.environ["SIGNING_KEY_ID"]})


print(token(sys.argv[1], sys.argv[2]))
