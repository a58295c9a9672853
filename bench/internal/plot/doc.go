// Package plot draws what a report shows, as SVG: a page of panels side by side,
// each with bars, ratios or lines.
//
// It draws numbers that it is given and knows nothing of where they come from.
// The pictures are small and made of a dozen kinds of shapes, so a library for
// plots, with its fonts and formats, would be the larger part of the module.
package plot
