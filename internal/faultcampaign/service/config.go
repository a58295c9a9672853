package service

import (
	"encoding/json"
	"os"
)

// Config is what a process is told at its start.
type Config struct {
	// Name is the process's, Slot its place among the others.
	Name string
	Slot int
	// Backend and DSN say where its database is; of SQLite it is the file.
	Backend, DSN string
	// Brokers are the addresses that the brokers tell clients; Routes says
	// where each of them is reached. What is not in Routes is dialled as it is.
	Brokers []string
	Routes  map[string]string
	Prefix  string
	// Journal is the file to write.
	Journal string
	// Keys is how many keys orders have.
	Keys int
	Seed uint64
	// Verbose is the log's level: the library's warnings, or all.
	Verbose bool
}

// variable carries the Config to the process.
const variable = "EVENTS_FAULTS_SERVICE"

// Environment returns the variable that makes a process which has it the
// service.
func (c Config) Environment() (string, error) {
	text, err := json.Marshal(c)
	return variable + "=" + string(text), err
}

// FromEnvironment returns the Config of this process, false if it was not
// started to be the service.
func FromEnvironment() (c Config, is bool, err error) {
	text, is := os.LookupEnv(variable)
	if !is {
		return c, false, nil
	}
	return c, true, json.Unmarshal([]byte(text), &c)
}
