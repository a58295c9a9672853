package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// leaveTime bounds the leaving in a Close without a Leave.
	leaveTime = 5 * time.Second
	// joinPatience is how long a member that leaves waits for the rebalance that
	// it takes part in. Most are over sooner.
	joinPatience = time.Second
	// joinCheck is how often it looks.
	joinCheck = joinPatience / 4
)

// Leave leaves the group, so that others get the partitions at once, and not
// after the session timeout. Revoked is called for what is still assigned; as
// heartbeats have ended by then, whatever takes long, and the commits, must be
// done before. A static member does not leave. Leave returns when the
// coordinator has answered, or when ctx ends, which also ends Revoked's, but after
// the session timeout at the latest: the others have the partitions then. After an
// error nothing can be sent any more, and Close ends at once.
func (g *Group) Leave(ctx context.Context) error {
	g.mu.Lock()
	g.left = true
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, g.cfg.SessionTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, g.hurry)()
	if err := g.leave(ctx); err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		g.abort() // or franz-go's Close would wait for what Leave has given up
		return fmt.Errorf("kafka: leave group %q: %w", g.cfg.Group, err)
	}
	return nil
}

// leave leaves by franz-go, which first waits for the end of a rebalance that the
// member takes part in: up to the rebalance timeout, if another member is busy or
// dead. Its leaving would then begin the next one. So after joinPatience the member
// leaves in the middle of it, and the others go on. No commit is lost by that:
// franz-go sends none while it joins, and whoever wanted one has given up before.
//
// A static member does not leave, and the others may need its word in the
// rebalance, so that it is waited for until ctx ends.
func (g *Group) leave(ctx context.Context) error {
	left := make(chan error, 1)
	go func() { left <- g.kgo.LeaveGroupContext(ctx) }()
	ticker := time.NewTicker(joinCheck)
	defer ticker.Stop()
	for {
		// The first answer to a new member is its id, without which it cannot
		// leave, and the group would wait for it. It comes at once.
		if id, _ := g.kgo.GroupMetadata(); id != "" && g.cfg.InstanceID == "" && g.joins.waiting(joinPatience) {
			g.abort()
			<-left // with an error; Revoked has returned, or ctx has ended
			return g.leaveRebalance(ctx)
		}
		select {
		case err := <-left:
			return err
		case <-ticker.C:
		}
	}
}

// leaveRebalance tells the coordinator that the member is gone, whose client was
// aborted: one that lives would join again, under a new id, as soon as the
// coordinator has answered its JoinGroup with UNKNOWN_MEMBER_ID. So another client
// says it.
func (g *Group) leaveRebalance(ctx context.Context) error {
	id, _ := g.kgo.GroupMetadata()
	client, err := kgo.NewClient(g.cfg.Config.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = id
	member.Reason = kmsg.StringPtr("the client ends during a rebalance")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = g.cfg.Group
	req.MemberID = id // before version 3
	req.Members = append(req.Members, member)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, m := range resp.Members {
		if err := kerr.ErrorForCode(m.ErrorCode); err != nil {
			return err
		}
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// Close ends the member; Poll returns [ErrClosed]. Without a Leave before, it
// leaves, for at most 5 s. It must not be called from Assignments' methods. It
// can be called several times.
func (g *Group) Close() {
	g.close.Do(func() {
		g.mu.Lock()
		left := g.left
		g.mu.Unlock()
		if !left {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			if err := g.Leave(ctx); err != nil {
				g.log.Warn("kafka: the group was not left; others get the partitions after the session timeout", "error", err)
			}
			cancel()
		}
		g.end()
		g.kept.Wait()
		g.kgo.Close()
		g.abort()
	})
}
