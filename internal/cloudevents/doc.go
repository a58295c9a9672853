// Package cloudevents maps events to Kafka records and back, by the
// CloudEvents 1.0 Kafka protocol binding: it writes the binary content mode
// and reads the binary and the structured one (JSON). Records without
// CloudEvents attributes are read, too.
//
// Source: CloudEvents 1.0.2, "Kafka Protocol Binding" and "JSON Event Format".
package cloudevents

// Names of the headers of the binary mode.
const (
	headerContentType = "content-type"
	headerPrefix      = "ce_"

	headerID          = "ce_id"
	headerSource      = "ce_source"
	headerSpecVersion = "ce_specversion"
	headerType        = "ce_type"
	headerSubject     = "ce_subject"
	headerTime        = "ce_time"
	headerDataSchema  = "ce_dataschema"

	// specVersion is what is written unless the event says otherwise.
	specVersion = "1.0"
	// structuredPrefix begins the content type of the structured mode.
	structuredPrefix = "application/cloudevents"
)

// reserved says whether a header carries an attribute of its own field.
func reserved(name string) bool {
	switch name {
	case headerContentType, headerID, headerSource, headerSpecVersion, headerType, headerSubject, headerTime, headerDataSchema:
		return true
	}
	return false
}
