package compare

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
)

// profile writes what one trial does into two files of a folder: where its CPU
// time goes, and what has been allocated since the process began (the first
// trial is the one to look at, or the difference to the one before with
// pprof -base).
type profile struct {
	folder, trial string
}

var notForFiles = regexp.MustCompile(`[^-a-zA-Z0-9]+`)

func (p profile) start() (stop func() error, err error) {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return nil, err
	}
	base := filepath.Join(p.folder, notForFiles.ReplaceAllString(p.trial, "-"))
	cpu, err := os.Create(base + ".cpu.prof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(cpu.Close(), writeAllocations(base+".allocs.prof"))
	}, nil
}

func writeAllocations(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
