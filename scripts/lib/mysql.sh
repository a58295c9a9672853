# MariaDB from an installed package, with a data folder of its own; the tests of eventmysql know it as EVENTS_MYSQL_DSN.
# shellcheck shell=bash

# mysql_bin sets MYSQLD and MYSQL_INSTALL to the installed server's programs.
mysql_bin() {
	local candidate
	for candidate in "${EVENTS_MYSQL_BIN:-}" /usr/sbin "$(dirname "$(command -v mariadbd || true)")"; do
		[[ -n $candidate && -x $candidate/mariadbd ]] || continue
		MYSQLD=$candidate/mariadbd
		MYSQL_INSTALL=$candidate/mariadb-install-db
		[[ -x $MYSQL_INSTALL ]] || MYSQL_INSTALL=$(command -v mariadb-install-db || true)
		[[ -z $MYSQL_INSTALL ]] || return 0
	done
	return 1
}

# mysql_require makes sure of the programs. The caller holds the lock of the whole cache. The package has the programs
# only: mariadb-server would add a system service, which nobody asked for.
mysql_require() {
	mysql_bin && return 0
	"$ROOT/scripts/apt-install" MariaDB mariadb-server-core || return 1
	mysql_bin || {
		warn 'MariaDB was installed, but its programs are not in /usr/sbin; set EVENTS_MYSQL_BIN to their folder'
		return 1
	}
}

# mysql_run PROGRAM ARGUMENTS... as somebody who is not root: a server of tests needs no rights.
mysql_run() {
	if ((EUID == 0)); then
		(cd / && exec runuser -u nobody -- "$@")
	else
		(cd / && exec "$@")
	fi </dev/null 8>&- 9>&-
}

mysql_folder() { cat "$RUN/mysql.folder" 2>/dev/null; }
mysql_port() { cat "$RUN/mysql.ports"; }
mysql_dsn() { printf '%s:events@tcp(127.0.0.1:%s)/events\n' "$(if uses_compose; then echo root; else echo events; fi)" "$(mysql_port)"; }

# mysql_create lays out a new server, in the folder for temporary files like PostgreSQL's.
mysql_create() {
	local folder port
	port=$(ports_pick "${EVENTS_MYSQL_PORT:-13306}" 1 1) || return 1
	folder=$(mktemp -d "${TMPDIR:-/tmp}/seed-events-mysql.XXXXXX") || return 1
	echo "$folder" >"$RUN/mysql.folder"
	echo "$port" >"$RUN/mysql.ports"
	# The user may do everything: every test has a database of its own.
	cat >"$folder/init.sql" <<-'SQL'
		CREATE DATABASE IF NOT EXISTS events;
		CREATE USER IF NOT EXISTS events@'127.0.0.1' IDENTIFIED BY 'events';
		GRANT ALL PRIVILEGES ON *.* TO events@'127.0.0.1' WITH GRANT OPTION;
	SQL
	if ((EUID == 0)); then
		chown -R nobody "$folder" || return 1
	fi
	mysql_run "$MYSQL_INSTALL" --no-defaults --datadir="$folder/data" --skip-test-db --auth-root-authentication-method=normal \
		>"$RUN/mysql.install.log" 2>&1 || {
		log_tail "$RUN/mysql.install.log"
		warn 'mariadb-install-db failed'
		return 1
	}
}

# mysql_start starts the server and waits until it listens, which it does after the init file.
mysql_start() {
	local folder i
	folder=$(mysql_folder) || return 1
	rm -f "$folder/pid"
	# Durable commits are the server's default. max_connections: every test has pools of its own. The path of the socket
	# must be short, and no other server may have it. The shell that waits in the background lives as long as the server, and
	# must not hold the script's locks.
	mysql_run "$MYSQLD" --no-defaults --datadir="$folder/data" --init-file="$folder/init.sql" --pid-file="$folder/pid" \
		--bind-address=127.0.0.1 --port="$(mysql_port)" --socket="$folder/s" --skip-name-resolve \
		--max-connections=400 --log-error="$folder/log" >"$RUN/mysql.start.log" 2>&1 8>&- 9>&- &
	local starter=$!
	for ((i = 0; i < START_SECONDS * 20; i++)); do
		if [[ -s $folder/pid ]] && port_heard "$(mysql_port)"; then
			process_record "$RUN/mysql.pid" "$(cat "$folder/pid")" "$folder/data"
			return 0
		fi
		kill -0 "$starter" 2>/dev/null || break
		sleep 0.05
	done
	log_tail "$RUN/mysql.start.log"
	log_tail "$folder/log"
	warn 'MariaDB did not start'
	return 1
}

# mysql_stop MODE is an orderly stop (fast) or a crash (immediate: the next start recovers from the log).
mysql_stop() {
	local signal
	case $1 in
	fast) signal=TERM ;;
	immediate) signal=KILL ;;
	*) die "mysql-stop takes fast or immediate, not $1" ;;
	esac
	process_stop "$RUN/mysql.pid" "$signal" 60
}

# mysql_up starts it where it does not run; the file mysql.database says that it is complete.
mysql_up() {
	mysql_require || return 1
	if has_mysql; then
		process_pid "$RUN/mysql.pid" >/dev/null || mysql_start
		return
	fi
	mysql_remove # what a start that failed has left
	mysql_create && mysql_start && touch "$RUN/mysql.database"
}

# mysql_remove stops it and removes its data.
mysql_remove() {
	local folder
	mysql_stop fast || mysql_stop immediate || warn 'MariaDB does not stop'
	folder=$(mysql_folder) || return 0
	[[ $folder == */seed-events-mysql.* ]] && rm -rf "$folder" "$RUN/mysql.folder" "$RUN/mysql.ports"
}
