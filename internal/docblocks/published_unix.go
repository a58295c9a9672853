//go:build unix

package docblocks

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// published is the go command as if the library had been published as it
// stands in the tree: in a reader's module it is replaced by the tree, and its
// commands at a version are built there.
const published = `#!/usr/bin/env bash
set -eu
case ${1:-} in
install | run)
	arguments=() ours=''
	for argument; do
		if [[ $argument == LIBRARY/*@* ]]; then
			ours=yes argument=./${argument#LIBRARY/}
			argument=${argument%@*}
		fi
		arguments+=("$argument")
	done
	if [[ $ours ]]; then
		cd ROOT && exec GO "${arguments[@]}"
	fi
	;;
esac
mod=$(GO env GOMOD)
if [[ -s $mod && $mod != ROOT/* ]]; then
	GO mod edit -replace=LIBRARY=ROOT
	GOPROXY=file://VERSIONS,$(GO env GOPROXY)
	export GOPROXY
fi
exec GO "$@"
`

// Publish puts a go command into a folder with which the library is that of
// the tree, whose folder is root.
func Publish(folder, root string) error {
	program, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	script := strings.NewReplacer("LIBRARY", library, "ROOT", strconv.Quote(root), "VERSIONS", filepath.Join(folder, "proxy"),
		"GO ", strconv.Quote(program)+" ").Replace(published)
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte(script), 0o777); err != nil {
		return err
	}
	// That there is a version is asked of a proxy, even if it is replaced.
	versions := filepath.Join(folder, "proxy", library, "@v")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	return errors.Join(err, os.MkdirAll(versions, 0o777),
		os.WriteFile(filepath.Join(versions, "list"), []byte("v0.0.0\n"), 0o666),
		os.WriteFile(filepath.Join(versions, "v0.0.0.info"), []byte(`{"Version":"v0.0.0"}`), 0o666),
		os.WriteFile(filepath.Join(versions, "v0.0.0.mod"), mod, 0o666))
}
