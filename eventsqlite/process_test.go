package eventsqlite

func runChild(string, []string) error { return nil }
