package main

import (
	"encoding/xml"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecord(t *testing.T) {
	lines, err := record(exec.Command("sh", "-c", `echo one; echo two >&2; echo; printf three`))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for i, l := range lines {
		texts = append(texts, l.text)
		if i > 0 && l.at < lines[i-1].at {
			t.Errorf("line %d came before the one above it", i)
		}
	}
	if want := []string{"one", "two", "", "three"}; !slices.Equal(texts, want) {
		t.Errorf("%q, want %q", texts, want)
	}
}

func TestRecordFailures(t *testing.T) {
	for name, command := range map[string]*exec.Cmd{
		"exit code":    exec.Command("sh", "-c", "echo one; exit 3"),
		"no program":   exec.Command("/does/not/exist"),
		"endless line": exec.Command("sh", "-c", "head -c 1000000 /dev/zero"),
	} {
		if lines, err := record(command); err == nil {
			t.Errorf("%s: no error, %d lines", name, len(lines))
		}
	}
}

// The picture is XML, has every line once, each with its time, and is as wide
// as the widest.
func TestDraw(t *testing.T) {
	wide := strings.Repeat("w", 200)
	picture := draw("a & b", []line{{"x < y", time.Second}, {"", 2 * time.Second}, {wide, 3 * time.Second}})
	type text struct {
		Style string `xml:"style,attr"`
		Y     int    `xml:"y,attr"`
		Text  string `xml:",chardata"`
	}
	var svg struct {
		Width  int    `xml:"width,attr"`
		Height int    `xml:"height,attr"`
		Texts  []text `xml:"text"`
	}
	if err := xml.Unmarshal(picture, &svg); err != nil {
		t.Fatalf("%v in\n%s", err, picture)
	}
	first := bar + margin + fontSize
	want := []text{
		{"animation-delay:0ms", first, "$ a & b"},
		{"animation-delay:1000ms", first + lineHeight, "x < y"},
		{"animation-delay:3000ms", first + 3*lineHeight, wide},
	}
	if !slices.Equal(svg.Texts, want) {
		t.Errorf("%+v", svg.Texts)
	}
	if least := int(200 * charWidth); svg.Width < least || svg.Height < first+3*lineHeight {
		t.Errorf("%d x %d", svg.Width, svg.Height)
	}
}

// The picture that the documentation shows has nothing of the machine in it
// that it was taken on.
func TestDemoIsOfNoMachine(t *testing.T) {
	picture, err := os.ReadFile("../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"/tmp", "/home", "/root", "/var", "/Users", `:\`} {
		if strings.Contains(string(picture), place) {
			t.Errorf("%s is in docs/demo.svg", place)
		}
	}
}
