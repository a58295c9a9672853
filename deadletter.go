package events

// deadLetterSuffix ends the names of dead-letter topics. Existing clusters
// hold letters under it.
const deadLetterSuffix = ".dead-letter"

// DeadLetterTopic returns the name, without prefix, of the topic that holds
// the dead letters of a topic and a group: "<topic>.<group>.dead-letter".
func DeadLetterTopic(topic string, group ConsumerGroupName) string {
	return deadLetterName(topic, group.String())
}

func deadLetterName(topic, group string) string { return topic + "." + group + deadLetterSuffix }
