# Apache Kafka in KRaft mode from Maven artefacts: one combined broker and controller, or three.
# shellcheck shell=bash

# The jars are the same for every checkout: their folder is named after what decides what is in it.
KAFKA_VERSION=${EVENTS_KAFKA_VERSION:-$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$ROOT/scripts/kafka/pom.xml")}
KAFKA_HOME="$CACHE/kafka-$KAFKA_VERSION-$(sha256sum "$ROOT/scripts/kafka/pom.xml" | cut -c1-12)"

# kafka_java sets JAVA to a Java that can run Kafka 4's brokers.
kafka_java() {
	local candidate version
	for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
		[[ -n $candidate && -x $candidate ]] || continue
		version=$("$candidate" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
		if [[ -n $version ]] && ((version >= 17)); then
			JAVA=$candidate
			return 0
		fi
	done
	return 1
}

# kafka_require makes sure of Java and of the jars. The caller holds the lock of the whole cache.
kafka_require() {
	local tmp
	if ! kafka_java; then
		"$ROOT/scripts/apt-install" 'Java 17 or newer' default-jre-headless || return 1
		kafka_java || {
			warn 'Kafka needs Java 17 or newer, and apt-get installed an older one; point JAVA_HOME at a newer one'
			return 1
		}
	fi
	if [[ -f $KAFKA_HOME/SHA256SUMS ]]; then
		(cd "$KAFKA_HOME" && sha256sum --status --strict --check SHA256SUMS) && return 0
		warn "the jars in $KAFKA_HOME are damaged; fetching them again"
	fi
	command -v mvn >/dev/null || "$ROOT/scripts/apt-install" Maven maven || return 1

	say "fetching Apache Kafka $KAFKA_VERSION"
	rm -rf "$CACHE"/fetch.* # left by a fetch that was killed: there is only one at a time
	tmp=$(mktemp -d "$CACHE/fetch.XXXXXX")
	# --strict-checksums: a file that does not match its published checksum fails the fetch.
	if ! mvn --batch-mode --quiet --strict-checksums --file "$ROOT/scripts/kafka/pom.xml" \
		"-Dkafka.version=$KAFKA_VERSION" "-DoutputDirectory=$tmp/libs" dependency:copy-dependencies </dev/null >"$tmp/log" 2>&1; then
		log_tail "$tmp/log"
		rm -rf "$tmp"
		warn "Maven could not fetch Apache Kafka $KAFKA_VERSION"
		return 1
	fi
	rm "$tmp/log"
	(cd "$tmp" && sha256sum libs/*.jar >SHA256SUMS) || return 1
	rm -rf "$KAFKA_HOME"
	mv -T "$tmp" "$KAFKA_HOME" # a rename: the folder is there whole or not at all
}

# kafka_command MAIN ARGUMENTS... sets COMMAND to what runs one of Kafka's programs; JVM has its options.
kafka_command() {
	COMMAND=("$JAVA" "${JVM[@]}" -Djava.awt.headless=true "-Dlog4j2.configurationFile=$ROOT/scripts/kafka/log4j2.properties"
		-cp "$KAFKA_HOME/libs/*" "$@")
}

# kafka_brokers prints how many brokers this instance has; kafka_addresses where they listen.
kafka_brokers() { cat "$RUN/kafka.brokers" 2>/dev/null || echo 0; }
kafka_addresses() {
	local brokers
	brokers=$(kafka_brokers)
	head -n "$brokers" "$RUN/kafka.ports" | sed 's/^/127.0.0.1:/' | paste -sd,
}

# A cluster of one broker also listens where clients must say who they are: SASL (the mechanisms PLAIN, SCRAM-SHA-256 and
# SCRAM-SHA-512) without and with TLS, TLS, and TLS with clients' certificates. The broker has no ACLs: who is let in may
# do everything. PLAIN's user is here; tests make those of SCRAM.
KAFKA_PLAIN='plain-user:pass:word with #=;%40'

# What kafka_secured_env prints.
# shellcheck disable=SC2034 # services reads it
KAFKA_SECURED=(EVENTS_KAFKA_SASL_BROKERS EVENTS_KAFKA_SASL_TLS_BROKERS EVENTS_KAFKA_SASL_PLAIN EVENTS_KAFKA_TLS_BROKERS
	EVENTS_KAFKA_TLS_CA EVENTS_KAFKA_MUTUAL_TLS_BROKERS EVENTS_KAFKA_TLS_CLIENT)

# kafka_certificates makes the certificates of this instance. It is not worth failing for: without Go, which compiles
# what makes them, nobody runs the tests either.
kafka_certificates() {
	command -v go >/dev/null || {
		warn 'no Go in PATH: Kafka listens without SASL and TLS'
		return 1
	}
	rm -rf "$RUN/certificates"
	mkdir -p "$RUN/certificates.new"
	(cd "$ROOT" && go run ./scripts/kafka/certificates "$RUN/certificates.new") >&2 || {
		warn 'no certificates could be made: Kafka listens without SASL and TLS'
		return 1
	}
	mv -T "$RUN/certificates.new" "$RUN/certificates"
}

# kafka_secured: this instance has those listeners.
kafka_secured() { [[ -d $RUN/certificates ]]; }

# kafka_security PORT LISTENERS ADVERTISED prints their settings; PORT is the first of four, and the others are the
# listeners that are there already. What stands later in a file of properties counts.
kafka_security() {
	local port=$1 listener mechanism
	cat <<-PROPERTIES

		listeners=$2,SASL://127.0.0.1:$port,SASLTLS://127.0.0.1:$((port + 1)),TLS://127.0.0.1:$((port + 2)),MUTUAL://127.0.0.1:$((port + 3))
		# The certificate of the listener TLS is for the name alone.
		advertised.listeners=$3,SASL://127.0.0.1:$port,SASLTLS://127.0.0.1:$((port + 1)),TLS://localhost:$((port + 2)),MUTUAL://127.0.0.1:$((port + 3))
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,TLS:SSL,MUTUAL:SSL
	PROPERTIES
	for listener in sasl sasltls; do
		cat <<-PROPERTIES
			listener.name.$listener.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
			listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${KAFKA_PLAIN%%:*}="${KAFKA_PLAIN#*:}";
		PROPERTIES
		for mechanism in scram-sha-256 scram-sha-512; do
			echo "listener.name.$listener.$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
		done
	done
	for listener in sasltls:address tls:name mutual:address; do
		cat <<-PROPERTIES
			listener.name.${listener%:*}.ssl.keystore.type=PEM
			listener.name.${listener%:*}.ssl.keystore.location=$RUN/certificates/${listener#*:}.pem
			listener.name.${listener%:*}.ssl.truststore.type=PEM
			listener.name.${listener%:*}.ssl.truststore.location=$RUN/certificates/ca.pem
		PROPERTIES
	done
	echo 'listener.name.mutual.ssl.client.auth=required'
}

# kafka_secured_env prints what tests of those listeners need, as VARIABLE VALUE.
kafka_secured_env() {
	local port
	port=$(sed -n 7p "$RUN/kafka.ports")
	cat <<-VARIABLES
		EVENTS_KAFKA_SASL_BROKERS 127.0.0.1:$port
		EVENTS_KAFKA_SASL_TLS_BROKERS 127.0.0.1:$((port + 1))
		EVENTS_KAFKA_SASL_PLAIN $KAFKA_PLAIN
		EVENTS_KAFKA_TLS_BROKERS localhost:$((port + 2))
		EVENTS_KAFKA_TLS_CA $RUN/certificates/ca.pem
		EVENTS_KAFKA_MUTUAL_TLS_BROKERS 127.0.0.1:$((port + 3))
		EVENTS_KAFKA_TLS_CLIENT $RUN/certificates/client.pem
	VARIABLES
}

# kafka_properties NODE BROKERS PORT prints one node's settings; PORT is the first of the instance's ten ports: three
# for clients, three for the controllers, and four for the listeners with SASL and TLS.
kafka_properties() {
	local node=$1 brokers=$2 port=$3 voters='' i min_insync client controller
	for ((i = 1; i <= brokers; i++)); do
		voters+=${voters:+,}$i@127.0.0.1:$((port + 2 + i))
	done
	min_insync=$((brokers > 1 ? 2 : 1))
	client=PLAINTEXT://127.0.0.1:$((port + node - 1))
	controller=CONTROLLER://127.0.0.1:$((port + 2 + node))
	cat <<-PROPERTIES
		process.roles=broker,controller
		node.id=$node
		controller.quorum.voters=$voters
		controller.listener.names=CONTROLLER
		listeners=$client,$controller
		advertised.listeners=$client
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		log.dirs=$RUN/kafka-$node

		# A topic that nobody created is a mistake that a test should see.
		auto.create.topics.enable=false
		num.partitions=3
		default.replication.factor=$brokers
		min.insync.replicas=$min_insync

		# Few partitions and as many replicas as there are brokers: the first group and the first transaction start fast.
		offsets.topic.num.partitions=4
		offsets.topic.replication.factor=$brokers
		transaction.state.log.num.partitions=4
		transaction.state.log.replication.factor=$brokers
		transaction.state.log.min.isr=$min_insync
		share.coordinator.state.topic.num.partitions=4
		share.coordinator.state.topic.replication.factor=$brokers
		share.coordinator.state.topic.min.isr=$min_insync

		# Tests of rebalances, retention and compaction are to see them within seconds.
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=1000
		group.consumer.min.session.timeout.ms=1000
		group.consumer.min.heartbeat.interval.ms=500
		transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
		log.retention.check.interval.ms=1000
		log.initial.task.delay.ms=1000
		log.segment.delete.delay.ms=1000
		log.cleaner.backoff.ms=1000
		log.cleaner.dedupe.buffer.size=8388608
	PROPERTIES
	if kafka_secured; then
		kafka_security $((port + 6)) "$client,$controller" "$client"
	fi
	printf '%s\n' "${KAFKA_SET[@]}" # last: they override
}

# kafka_create BROKERS lays out a new cluster.
kafka_create() {
	local brokers=$1 port node cluster formats=()
	rm -rf "$RUN"/kafka-[1-9]* "$RUN/kafka.ports" "$RUN/certificates" # what a start that failed has left
	port=$(ports_pick "${EVENTS_KAFKA_PORT:-19092}" 10 10) || return 1
	seq "$port" $((port + 9)) >"$RUN/kafka.ports"
	# A cluster id is a UUID in base64: 22 letters of which the last carries two bits. The same name gives the same id, two
	# names two ids, and no id begins with a hyphen, which the tool would take for an option.
	cluster=Events$(printf '%s' "$NAME" | sha256sum | cut -c1-15)A
	if ((brokers == 1)); then
		kafka_certificates || true
	fi
	JVM=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
	for ((node = 1; node <= brokers; node++)); do
		kafka_properties "$node" "$brokers" "$port" >"$RUN/kafka-$node.properties"
		mkdir -p "$RUN/kafka-$node"
		kafka_command kafka.tools.StorageTool format -t "$cluster" -c "$RUN/kafka-$node.properties"
		"${COMMAND[@]}" </dev/null >"$RUN/kafka-$node.log" 2>&1 &
		formats+=($!)
	done
	for ((node = 1; node <= brokers; node++)); do
		wait "${formats[node - 1]}" || {
			log_tail "$RUN/kafka-$node.log"
			warn "the data folder of Kafka broker $node could not be formatted"
			return 1
		}
	done
	echo "$brokers" >"$RUN/kafka.brokers"
}

# kafka_launch NODE starts a broker and does not wait for it. Each start has a log of its own, which kafka_wait reads.
kafka_launch() {
	local node=$1
	JVM=(-Xmx1g)
	if (($(kafka_brokers) > 1)); then
		JVM=(-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
	fi
	kafka_command kafka.Kafka "$RUN/kafka-$node.properties"
	if [[ -e $RUN/kafka-$node.log ]]; then
		mv "$RUN/kafka-$node.log" "$RUN/kafka-$node.log.before"
	fi
	# In a session of its own, since a Ctrl-C in the terminal is for the tests and not for the servers; without the locks.
	setsid "${COMMAND[@]}" </dev/null >"$RUN/kafka-$node.log" 2>&1 8>&- 9>&- &
	process_record "$RUN/kafka-$node.pid" $! "$RUN/kafka-$node.properties" || true # it may be gone already: kafka_wait tells
}

# kafka_wait NODE waits until the broker serves clients.
kafka_wait() {
	local node=$1 port i
	port=$(sed -n "${node}p" "$RUN/kafka.ports")
	for ((i = 0; i < START_SECONDS * 10; i++)); do
		if ! process_pid "$RUN/kafka-$node.pid" >/dev/null; then
			log_tail "$RUN/kafka-$node.log"
			warn "Kafka broker $node ended while it started"
			return 1
		fi
		# The line comes when the controllers let clients at the broker; listening alone comes earlier.
		if grep -q 'Kafka Server started' "$RUN/kafka-$node.log" && port_heard "$port"; then
			return 0
		fi
		sleep 0.1
	done
	log_tail "$RUN/kafka-$node.log"
	warn "Kafka broker $node did not start within $START_SECONDS s"
	return 1
}

# kafka_kill: all brokers, at once. For the end of an instance, whose data nobody reads again: an orderly shutdown would
# take seconds, and never ends for the last broker of three, which has lost its controllers' majority.
kafka_kill() {
	local node brokers
	brokers=$(kafka_brokers)
	for ((node = 1; node <= brokers; node++)); do
		process_stop "$RUN/kafka-$node.pid" KILL 10 || warn "Kafka broker $node does not die"
	done
}

# kafka_node NODE refuses a broker that this instance has not.
kafka_node() {
	[[ $1 =~ ^[1-9]$ && ! $1 -gt $(kafka_brokers) ]] || die "no Kafka broker $1 in $NAME: it has $(kafka_brokers)"
}

# kafka_up [BROKERS] starts what does not run, without waiting for it.
kafka_up() {
	local node brokers
	kafka_require || return 1
	brokers=$(kafka_brokers)
	if ((brokers == 0)); then
		brokers=${1:-1}
		kafka_create "$brokers" || return 1
	elif [[ -n $1 && $1 != "$brokers" ]]; then
		warn "$NAME already runs with $brokers broker(s): scripts/services down first, or give the new cluster a --name"
		return 1
	fi
	for ((node = 1; node <= brokers; node++)); do
		process_pid "$RUN/kafka-$node.pid" >/dev/null || kafka_launch "$node"
	done
}

# kafka_ready waits for all brokers.
kafka_ready() {
	local node brokers
	brokers=$(kafka_brokers)
	for ((node = 1; node <= brokers; node++)); do
		kafka_wait "$node" || return 1
	done
}
