package delivery

import "fmt"

// PanicError is the error of a handler that panicked.
type PanicError struct {
	// Value is what it panicked with.
	Value any
	// Stack is the goroutine's stack at that moment.
	Stack []byte
}

// Error does not contain the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
