package lanes

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerID asks the brokers for a producer id that nobody else has,
// without transactional id. The epoch that comes with it is 0; whoever uses the
// id may choose larger ones.
func InitProducerID(ctx context.Context, client *kgo.Client) (Identity, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = nil
	req.TransactionTimeoutMillis = -1
	req.ProducerID = -1
	req.ProducerEpoch = -1
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("ask the brokers for a producer id: %w", err)
	}
	return Identity{ProducerID: resp.ProducerID, Epoch: resp.ProducerEpoch}, nil
}
