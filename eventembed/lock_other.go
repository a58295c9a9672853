//go:build !unix

package eventembed

import "os"

// lock does nothing: two brokers in one directory go unnoticed here.
func lock(*os.File) error { return nil }
