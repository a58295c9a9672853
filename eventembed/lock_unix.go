//go:build unix

package eventembed

import (
	"os"
	"syscall"
)

// lock takes the lock of an open file, for as long as it is open; an error
// means that somebody else has it, in this process or in another.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
