// Package cloudevents maps events to Kafka records and back, by the
// CloudEvents 1.0 Kafka protocol binding: it writes the binary content mode
// and reads the binary and the structured one (JSON). Records without
// CloudEvents attributes are read, too.
//
// What is read is wider than what the binding says where SDKs in use write
// something else; testdata has what they really write, and README.md there
// how it was made:
//
//   - the Python SDK's envelopes without the structured mode's content type
//     are recognised by their required attributes;
//   - the JavaScript SDK's ce_datacontenttype header, beside content-type, is
//     an attribute and no extension.
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

	// headerDataContentType is not the binding's, but some SDKs write it.
	headerDataContentType = "ce_datacontenttype"

	// specVersion is what is written unless the event says otherwise.
	specVersion = "1.0"
	// structuredPrefix begins the content type of the structured mode.
	structuredPrefix = "application/cloudevents"
)

// reserved says whether a header carries an attribute of its own field.
func reserved(name string) bool {
	switch name {
	case headerContentType, headerID, headerSource, headerSpecVersion, headerType, headerSubject, headerTime, headerDataSchema,
		headerDataContentType:
		return true
	}
	return false
}
