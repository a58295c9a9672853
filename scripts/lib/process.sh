# Servers by pid file. A pid alone does not say which process it is: the file also holds the process's start time and a
# word of its command line, and nothing is signalled unless all three still agree.
# shellcheck shell=bash

# process_started PID prints when the process started, in clock ticks since boot; it fails when there is none, and for a
# zombie, which runs nothing any more (in a container without an init nobody collects them).
process_started() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) } # the command's name comes first, in parentheses, and may hold anything
	# shellcheck disable=SC2086 # split into fields
	set -- $stat
	[[ $1 != Z && $1 != X ]] || return 1
	printf '%s\n' "${20}"
}

# process_record FILE PID MARK writes the pid file; MARK is a word of the command line that no other process has.
process_record() {
	local started
	started=$(process_started "$2") || return 1
	printf '%s\n%s\n%s\n' "$2" "$started" "$3" >"$1.new"
	mv "$1.new" "$1"
}

# process_pid FILE prints the pid if the recorded process is still the one that runs under it.
process_pid() {
	local pid started mark
	[[ -s $1 ]] || return 1
	{ read -r pid && read -r started && read -r mark; } <"$1" || return 1
	[[ $(process_started "$pid") == "$started" ]] || return 1
	# The start time already tells two processes apart, but for the time of one tick and for a reboot.
	[[ $({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) == *"$mark"* ]] || return 1
	printf '%s\n' "$pid"
}

# process_stop FILE SIGNAL SECONDS signals the recorded process and waits until it is gone; false when it is still there.
process_stop() {
	local pid i
	pid=$(process_pid "$1") || return 0
	kill "-$2" "$pid" 2>/dev/null || true
	for ((i = 0; i < $3 * 20; i++)); do
		process_pid "$1" >/dev/null || return 0
		sleep 0.05
	done
	return 1
}

# port_heard PORT: somebody listens on it.
port_heard() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_free PORT: nobody listens on it, and no other instance has it for a server that is stopped at the moment.
port_free() { ! port_heard "$1" && ! grep -qsx "$1" "$CACHE"/run/*/*.ports; }

# ports_pick FIRST COUNT STEP prints the first port of a free block of COUNT, trying FIRST, FIRST+STEP, ...
ports_pick() {
	local first i
	for ((first = $1; first < $1 + 100 * $3; first += $3)); do
		for ((i = 0; i < $2; i++)); do
			port_free $((first + i)) || continue 2
		done
		printf '%s\n' "$first"
		return 0
	done
	warn "no free block of $2 ports from $1 on"
	return 1
}

# log_tail FILE shows the end of a server's log under its name, and its first errors: a server that gives up often
# prints a page about its shutdown after the reason.
log_tail() {
	warn "the end of $1:"
	tail -n 15 "$1" 2>/dev/null | sed 's/^/    /' >&2 || true
	if grep -qE '(ERROR|FATAL|Exception)' "$1" 2>/dev/null; then
		warn 'its first errors:'
		grep -m 5 -A 2 -E '(ERROR|FATAL|Exception)' "$1" | sed 's/^/    /' >&2 || true
	fi
}
