// Prints a token for a content: go run play_token.go CONTENT_ID VIEWER
//
// SIGNING_KEY_FILE is the file that `vylux-pack signing-key create --out` wrote, SIGNING_KEY_ID what it printed.
package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"os"
	"time"
)

func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func token(key *ecdsa.PrivateKey, kid, contentID, viewer string, life time.Duration) (string, error) {
	now := time.Now().Unix()
	header := map[string]any{"alg": "ES256", "typ": "JWT", "kid": kid}
	claims := map[string]any{"content_id": contentID, "sub": viewer, "iat": now, "exp": now + int64(life.Seconds())}
	message := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(message))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	// JWS wants r and s, 32 bytes each (RFC 7518, 3.4).
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return message + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

func main() {
	text, err := os.ReadFile(os.Getenv("SIGNING_KEY_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		log.Fatal("SIGNING_KEY_FILE is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		log.Fatal("SIGNING_KEY_FILE is no key of ECDSA")
	}
	signed, err := token(key, os.Getenv("SIGNING_KEY_ID"), os.Args[1], os.Args[2], 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signed)
}
