#!/usr/bin/env bash
# A real Apache Kafka broker (KRaft, one process) for tests, from Maven Central.
#   kafka.sh install                  into $ENGINE_DIR (default .deps/engines), once
#   kafka.sh start RUN_FOLDER PORT [CONTROLLER_PORT]     CONTROLLER_PORT defaults to PORT + 1
#   kafka.sh topic PORT NAME PARTITIONS                  creates it
#   kafka.sh stop RUN_FOLDER
. "$(dirname "$0")/lib.sh"
version=4.3.1
home=${ENGINE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/.deps/engines}/kafka-$version
cluster_id=MkU3OEVBNTcwNTJENDM2Qk

dependency() {
  echo "<dependency><groupId>$1</groupId><artifactId>$2</artifactId><version>$3</version></dependency>"
}

install() {
  if [ -f "$home/installed" ]; then return; fi
  need_program mvn
  mkdir -p "$home/lib"
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>quickwater</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>'
    echo '<dependencies>'
    dependency org.apache.kafka kafka_2.13 "$version"
    dependency org.apache.kafka kafka-tools "$version"
    dependency org.apache.logging.log4j log4j-slf4j-impl 2.25.4 # without it there is no log to see readiness in
    echo '</dependencies></project>'
  } >"$home/pom.xml"
  mvn -q -B -f "$home/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home/lib"
  cat >"$home/log4j2.yaml" <<'YAML'
Configuration:
  Appenders: {Console: {name: C, PatternLayout: {pattern: "%d %p %m (%c)%n"}}}
  Loggers: {Root: {level: INFO, AppenderRef: [{ref: C}]}}
YAML
  touch "$home/installed"
}

java_with_kafka() {
  # A small heap, one collector thread and the quick compiler: a test broker starts sooner and leaves the cores alone.
  local options=(-Xms128m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
  launcher=(java "${options[@]}" -Dlog4j2.configurationFile="$home/log4j2.yaml" -cp "$home/lib/*")
}

start() {
  local run=$1 port=$2 controller=${3:-$(($2 + 1))} launcher
  need_program java
  mkdir -p "$run"
  cat >"$run/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$run/data
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
PROPERTIES
  java_with_kafka
  if [ ! -f "$run/data/meta.properties" ]; then
    "${launcher[@]}" kafka.tools.StorageTool format -t "$cluster_id" -c "$run/server.properties" >"$run/log" 2>&1 ||
      give_up "$run" "its storage could not be formatted"
  fi
  launch "$run" "${launcher[@]}" kafka.Kafka "$run/server.properties"
  wait_until "$run" 60 grep -q 'Kafka Server started' "$run/log"
}

topic() {
  local launcher
  java_with_kafka
  "${launcher[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$1" --create --topic "$2" \
    --partitions "$3" --replication-factor 1
}

stop() { stop_engine "$1"; }
"$@"
