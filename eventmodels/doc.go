// Package eventmodels is the vocabulary of the library: events and the topics
// they belong to, handlers, what happens when a handler fails, and the
// contracts between a Library and the database that it works with.
//
// Most services need only [BindTopic] (or the BindTopic of their database's
// package), [Event] and the OnFailure constants. The contracts
// ([AbstractDB], [OutboxStore], [Producer]) are for those who write a
// database backend.
//
// The package imports neither a Kafka client nor an SQL driver.
package eventmodels
