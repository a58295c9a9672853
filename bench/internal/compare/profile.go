package compare

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
)

// profile writes what one trial does into files of a folder: where its CPU time
// goes, and what the process had allocated before and after it:
//
//	go tool pprof -top trial.cpu.prof
//	go tool pprof -top -sample_index=alloc_objects -base trial.before.prof trial.after.prof
type profile struct {
	folder, trial string
}

var notForFiles = regexp.MustCompile(`[^-a-zA-Z0-9]+`)

func (p profile) start() (stop func() error, err error) {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return nil, err
	}
	base := filepath.Join(p.folder, notForFiles.ReplaceAllString(p.trial, "-"))
	if err := writeAllocations(base + ".before.prof"); err != nil {
		return nil, err
	}
	cpu, err := os.Create(base + ".cpu.prof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(cpu.Close(), writeAllocations(base+".after.prof"))
	}, nil
}

func writeAllocations(name string) error {
	runtime.GC() // the profile is that of the last collection
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
