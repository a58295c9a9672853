package deadletter

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
)

func TestReasonOf(t *testing.T) {
	plain := errors.New("order 4711 of customer \"x\" is unknown")
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{plain, ReasonError},
		{fmt.Errorf("ship: %w", plain), ReasonError},
		{fmt.Errorf("ship: %w", &delivery.PanicError{Value: plain}), ReasonPanic},
		{fmt.Errorf("%w: %w", eventmodels.ErrDecode, plain), ReasonDecode},
		{eventmodels.SetErrorHandling(plain, eventmodels.DoNotRetry), ReasonDoNotRetry},
		{eventmodels.SetErrorHandling(context.DeadlineExceeded, eventmodels.DoNotRetry), ReasonDoNotRetry},
		{eventmodels.SetErrorHandling(plain, eventmodels.RetryUntilTimeout), ReasonError},
		{fmt.Errorf("%w (5m): %w", eventmodels.TimeoutErr, context.DeadlineExceeded), ReasonTimeout},
		{context.DeadlineExceeded, ReasonTimeout},
		{fmt.Errorf("%w (5m): %w", eventmodels.TimeoutErr, plain), ReasonTimeout},
	} {
		if got := ReasonOf(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}
