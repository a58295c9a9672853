package events_test

import (
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/sasl/plain"

	"github.com/seed46dd6f11/events"
)

// Whatever the text is: "none", a mechanism with user and password as they
// were written, or an error that quotes nothing of it.
func FuzzSASLConfig(f *testing.F) {
	for _, text := range []string{
		"none", "plain:user:password", "sha256:user:password", "sha512:user:pass:word",
		"", ":", "::", "none:", "none:user:password", "plain", "plain:", "plain:user", "plain::password", "plain:user:",
		"kerberos:user:password", "PLAIN:user:password", " plain:user:password", "plain:us er:pass word\n",
		"sha256:\x00:password", "sha256:user:\u00ad", "sha256:user:\ufffd", "sha256:us,er=:pass=,word", "sha512:\u00fcser:p\u00e4ss\u2168", "sha512:\xff:\xfe",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := events.SASLConfig{Mechanism: plain.Mechanism{Username: "before"}}
		err := c.UnmarshalText([]byte(text))
		got := events.SASLConfigFromString(text)
		method, rest, _ := strings.Cut(text, ":")
		user, password, whole := strings.Cut(rest, ":")
		if err != nil {
			if got != nil {
				t.Fatal("SASLConfigFromString accepts what UnmarshalText refuses")
			}
			for _, part := range []string{text, rest, user, password} {
				if len(part) > 3 && strings.Contains(err.Error(), part) && !strings.Contains(saslWords, part) {
					t.Fatalf("%q quotes %q", err, part)
				}
			}
			return
		}
		name := map[string]string{"plain": "PLAIN", "sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}[method]
		switch {
		case text == "none":
			if c.Mechanism != nil || got != nil {
				t.Fatalf("none gives %T, %T", c.Mechanism, got)
			}
		case c.Mechanism == nil || got == nil:
			t.Fatal("accepted, and no mechanism: that means no authentication")
		case !whole || user == "":
			t.Fatal("accepted without user or password")
		case c.Mechanism.Name() != name || got.Name() != name:
			t.Fatalf("%s, want %s", c.Mechanism.Name(), name)
		default:
			if p, ok := c.Mechanism.(plain.Mechanism); ok && (p.Username != user || p.Password != password) {
				t.Fatal("other user or password than written")
			}
		}
	})
}

// saslWords are what the errors say themselves.
const saslWords = `SASL configuration: want "none" or "method:user:password" with the method plain, sha256 or sha512` +
	`SASL configuration: unknown method; want none, plain, sha256 or sha512` +
	`SASL configuration: user name or password cannot be used with sha256 sha512 (RFC 4013 forbids some characters)`
