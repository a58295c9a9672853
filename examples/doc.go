// Package examples has a command for each thing that services do with the
// library; README.md lists them.
package examples
