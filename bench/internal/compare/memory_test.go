package compare

import (
	"runtime"
	"testing"
)

func TestTrialSeesMemory(t *testing.T) {
	trial := &Trial{}
	trial.Begin()
	const size = 64 << 20
	held := make([]byte, size)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	trial.End(1)
	runtime.KeepAlive(held)
	s, err := trial.sample()
	if err != nil {
		t.Fatal(err)
	}
	if s.Memory < size {
		t.Errorf("%d bytes, while %d were held", s.Memory, size)
	}
}

func TestTrialThatFailsEndsTheWatch(t *testing.T) {
	trial := &Trial{}
	trial.Begin()
	trial.unwatch() // TestMain looks for what is left
	if _, err := trial.sample(); err == nil {
		t.Error("a trial without End has a sample")
	}
}
