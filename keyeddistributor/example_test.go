package keyeddistributor_test

import (
	"fmt"

	"github.com/seed46dd6f11/events/keyeddistributor"
)

type price struct {
	Product string
	Cents   int
}

// A value goes to the readers of its key, and to nobody else.
func ExampleDistributor() {
	prices := keyeddistributor.New(func(p price) string { return p.Product })
	apples := prices.Subscribe("apple")
	defer apples.Unsubscribe()

	<-prices.Submit(price{"bread", 350}) // nobody reads it: it is consumed
	consumed := prices.Submit(price{"apple", 99})
	<-apples.WaitChan()
	fmt.Println(apples.Consume())
	<-consumed
	// Output: {apple 99}
}
