package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"unicode/utf8"
)

// Sizes, in pixels of the picture.
const (
	fontSize   = 13
	charWidth  = 7.83 // of a monospaced font of that size
	lineHeight = 19
	margin     = 16
	bar        = 30 // the window's title bar
	minColumns = 80
)

// draw makes the picture. A reader who does not want motion, and a program that
// does not know CSS animation, see all lines at once.
func draw(title string, lines []line) []byte {
	lines = append([]line{{text: "$ " + title}}, lines...)
	columns := minColumns
	for _, l := range lines {
		columns = max(columns, utf8.RuneCountInString(l.text))
	}
	width, height := 2*margin+int(float64(columns)*charWidth), bar+2*margin+len(lines)*lineHeight
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="%d">
<title>%s</title>
<style>
text{fill:#d8dee9;white-space:pre}
.prompt{fill:#a3be8c}
@media (prefers-reduced-motion:no-preference){.line{opacity:0;animation:show 1ms linear forwards}}
@keyframes show{to{opacity:1}}
</style>
<rect width="%[1]d" height="%[2]d" rx="8" fill="#242933"/>
`, width, height, fontSize, escape(title))
	for i, colour := range []string{"#bf616a", "#ebcb8b", "#a3be8c"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="6" fill="%s"/>`+"\n", margin+6+20*i, bar/2, colour)
	}
	for i, l := range lines {
		if l.text == "" {
			continue
		}
		class := "line"
		if i == 0 {
			class = "line prompt"
		}
		fmt.Fprintf(&b, `<text class="%s" style="animation-delay:%dms" x="%d" y="%d" xml:space="preserve">%s</text>`+"\n",
			class, l.at.Milliseconds(), margin, bar+margin+fontSize+i*lineHeight, escape(l.text))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// escape makes text of what was printed; what XML cannot hold becomes U+FFFD.
func escape(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil { // a bytes.Buffer returns none
		panic(err)
	}
	return b.String()
}
