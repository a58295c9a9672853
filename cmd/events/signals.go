package main

import (
	"os"
	"syscall"
)

// interrupts are the signals that end a command cleanly.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM}
