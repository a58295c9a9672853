// Package docblocks reads the code blocks of the project's documentation, so
// that a test can compile and run every one of them. CONTRIBUTING.md describes
// what the words behind a block's language mean.
package docblocks
