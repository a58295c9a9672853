package compare

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Machine says where and with what was measured, a line per fact.
func Machine() []string {
	return []string{
		fmt.Sprintf("%d CPUs, %s, %s of memory; %s %s", runtime.NumCPU(), orUnknown(procField("/proc/cpuinfo", "model name")),
			orUnknown(procField("/proc/meminfo", "MemTotal")), runtime.GOOS, orUnknown(firstLine("/proc/sys/kernel/osrelease"))),
		fmt.Sprintf("%s %s, GOMAXPROCS %d", runtime.Version(), runtime.GOARCH, runtime.GOMAXPROCS(0)),
		fmt.Sprintf("load of the machine before the run: %s (processes that run or want to, in the last 1, 5 and 15 minutes)", orUnknown(load())),
	}
}

// Versions returns the versions of the modules with these paths, as "path
// version"; those that are not part of the program are left out.
func Versions(paths ...string) []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var versions []string
	for _, module := range info.Deps {
		if slices.Contains(paths, module.Path) {
			versions = append(versions, module.Path+" "+module.Version)
		}
	}
	return versions
}

// procField returns the first value of a field of a file with lines
// "name : value", or "".
func procField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// load is the system's load averages.
func load() string {
	fields := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func firstLine(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
