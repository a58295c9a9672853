//go:build !synctests

package eventtest

// durableLocks says whether a bubble's clock goes forward while franz-go waits
// for a lock.
const durableLocks = false
