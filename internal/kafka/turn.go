package kafka

// turn lets one goroutine at a time call somebody else's function, which may
// take as long as it likes. It is a channel and no mutex, so that tests in
// virtual time see that the others wait.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take() { t <- struct{}{} }
func (t turn) pass() { <-t }
