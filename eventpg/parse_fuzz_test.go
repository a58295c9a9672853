package eventpg

import (
	"strings"
	"testing"
)

// Whatever the connection string is: a configuration, or an error that does
// not quote it, since nobody knows what in a broken one is the password.
func FuzzParse(f *testing.F) {
	const secret = "s3cr3t-w0rd"
	for _, dsn := range []string{
		"postgres://user:" + secret + "@host:5432/db", "postgres://user:" + secret + "@host:port/db",
		"postgres://user:" + secret + "/x@host/db", "postgres://user:" + secret + "%zz@host/db", "postgres://user:" + secret + "@@host",
		"host=h password=" + secret + " port=x", "host=h password='" + secret, "password=" + secret + " sslmode=perhaps", "://" + secret, secret, "",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		config, err := parse(dsn)
		if err != nil && strings.Contains(err.Error(), secret) && strings.Contains(dsn, "password="+secret) {
			t.Fatalf("the error quotes the password: %v", err)
		}
		if (config == nil) == (err == nil) {
			t.Fatalf("configuration %v, error %v", config != nil, err)
		}
	})
}
