# PostgreSQL from an installed package, with a data folder of its own.
# shellcheck shell=bash

# postgres_bin sets PGBIN to the newest installed server's programs.
postgres_bin() {
	local candidate
	for candidate in "${EVENTS_POSTGRES_BIN:-}" \
		"$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV | head -n 1)" \
		"$(dirname "$(command -v postgres || true)")"; do
		if [[ -n $candidate && -x $candidate/initdb && -x $candidate/pg_ctl && -x $candidate/postgres ]]; then
			PGBIN=$candidate
			return 0
		fi
	done
	return 1
}

# postgres_require makes sure of the programs. The caller holds the lock of the whole cache.
postgres_require() {
	if ! postgres_bin; then
		"$ROOT/scripts/apt-install" PostgreSQL postgresql || return 1
		postgres_bin || {
			warn 'PostgreSQL was installed, but its programs are not in /usr/lib/postgresql; set EVENTS_POSTGRES_BIN to their folder'
			return 1
		}
	fi
	if ((EUID == 0)) && ! id postgres >/dev/null 2>&1; then
		warn 'PostgreSQL refuses to run as root, and there is no user "postgres" to run it as; create that user (it needs no shell)'
		return 1
	fi
}

# postgres_run PROGRAM ARGUMENTS...: PostgreSQL refuses root, so root becomes the package's user. It may not be able to
# enter the folder that the script was called in.
postgres_run() {
	local program=$PGBIN/$1
	shift
	if ((EUID == 0)); then
		(cd / && exec runuser -u postgres -- "$program" "$@")
	else
		(cd / && exec "$program" "$@")
	fi </dev/null 8>&- 9>&-
}

postgres_folder() { cat "$RUN/postgres.folder" 2>/dev/null; }
postgres_port() { cat "$RUN/postgres.ports"; }
postgres_dsn() { printf 'postgres://events:events@127.0.0.1:%s/events?sslmode=disable\n' "$(postgres_port)"; }

# postgres_create lays out a new server. It lives in the folder for temporary files: under the cache, in root's home,
# the package's user could not reach it.
postgres_create() {
	local folder port
	port=$(ports_pick "${EVENTS_POSTGRES_PORT:-15432}" 1 1) || return 1
	folder=$(mktemp -d "${TMPDIR:-/tmp}/seed-events-postgres.XXXXXX") || return 1
	echo "$folder" >"$RUN/postgres.folder"
	echo "$port" >"$RUN/postgres.ports"
	echo events >"$folder/password"
	if ((EUID == 0)); then
		chown -R postgres "$folder" || return 1
	fi
	# Passwords are checked, as in production: a test of wrong credentials needs a server that minds.
	postgres_run initdb --pgdata="$folder/data" --username=events --pwfile="$folder/password" --auth=scram-sha-256 \
		--encoding=UTF8 --locale=C.UTF-8 --no-sync >"$RUN/postgres.initdb.log" 2>&1 || {
		log_tail "$RUN/postgres.initdb.log"
		warn 'initdb failed'
		return 1
	}
	# Durable commits are what the outbox is about, so fsync stays on unless somebody asks; no socket file, since the
	# path of a temporary folder can be too long for one.
	cat >>"$folder/data/postgresql.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		port = $port
		unix_socket_directories = ''
		max_connections = 200
		fsync = ${EVENTS_PG_FSYNC:-on}
	CONF
}

# postgres_start starts the server and waits until it answers.
postgres_start() {
	local folder
	folder=$(postgres_folder) || return 1
	postgres_run pg_ctl start --pgdata="$folder/data" --log="$folder/log" --wait --timeout="$START_SECONDS" >"$RUN/postgres.ctl.log" 2>&1 || {
		log_tail "$RUN/postgres.ctl.log"
		log_tail "$folder/log"
		warn 'PostgreSQL did not start'
		return 1
	}
	process_record "$RUN/postgres.pid" "$(head -n 1 "$folder/data/postmaster.pid")" "$folder/data"
	postgres_run pg_isready --quiet --host=127.0.0.1 --port="$(postgres_port)" --timeout=10
}

# postgres_database creates the database of the DSN; the file says that the server is complete.
postgres_database() {
	PGPASSWORD=events postgres_run createdb --host=127.0.0.1 --port="$(postgres_port)" --username=events events &&
		touch "$RUN/postgres.database"
}

# postgres_stop MODE is an orderly stop (fast) or a crash (immediate: the next start recovers from the log).
postgres_stop() {
	local signal
	case $1 in
	fast) signal=INT ;;
	immediate) signal=QUIT ;;
	*) die "postgres-stop takes fast or immediate, not $1" ;;
	esac
	process_stop "$RUN/postgres.pid" "$signal" 30
}

# postgres_up starts it where it does not run.
postgres_up() {
	postgres_require || return 1
	if has_postgres; then
		process_pid "$RUN/postgres.pid" >/dev/null || postgres_start
		return
	fi
	postgres_remove # what a start that failed has left
	postgres_create && postgres_start && postgres_database
}

# postgres_remove stops it and removes its data.
postgres_remove() {
	local folder
	postgres_stop fast || postgres_stop immediate || warn 'PostgreSQL does not stop'
	folder=$(postgres_folder) || return 0
	[[ $folder == */seed-events-postgres.* ]] && rm -rf "$folder" "$RUN/postgres.folder" "$RUN/postgres.ports"
}
