# The servers by docker compose, from the docker-compose.yml at the root.
# shellcheck shell=bash

# compose_answers: there is an engine, and the client has compose.
compose_answers() {
	[[ ${EVENTS_DOCKER:-on} != off ]] && command -v docker >/dev/null &&
		docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
}

# compose ARGUMENTS... for this instance's project and ports.
compose() {
	EVENTS_KAFKA_PORT=$(head -n 1 "$RUN/kafka.ports") EVENTS_POSTGRES_PORT=$(postgres_port) EVENTS_MYSQL_PORT=$(mysql_port) \
		docker compose --project-name "events-$NAME" --file "$ROOT/docker-compose.yml" "$@" </dev/null
}

# compose_up SERVICE... starts them and waits for their health checks.
compose_up() {
	local port
	if [[ ! -e $RUN/compose ]]; then
		port=$(ports_pick "${EVENTS_KAFKA_PORT:-19092}" 1 10) && echo "$port" >"$RUN/kafka.ports" || return 1
		port=$(ports_pick "${EVENTS_POSTGRES_PORT:-15432}" 1 1) && echo "$port" >"$RUN/postgres.ports" || return 1
		port=$(ports_pick "${EVENTS_MYSQL_PORT:-13306}" 1 1) && echo "$port" >"$RUN/mysql.ports" || return 1
		touch "$RUN/compose"
	fi
	compose up --detach --wait "$@" && return 0
	compose logs --tail 25 "$@" >&2
	warn 'docker compose could not start the servers; EVENTS_DOCKER=off starts them without containers'
	return 1
}

# compose_runs SERVICE
compose_runs() { compose ps --status running --services 2>/dev/null | grep -qx "$1"; }
