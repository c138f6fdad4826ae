// go mod init example && go get github.com/gotd/td && go run sign_in.go
package main

import (
	"context"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
)

func main() {
	modulus, _ := new(big.Int).SetString("{{MODULUS}}", 16)
	client := telegram.NewClient(1, "00000000000000000000000000000000", telegram.Options{
		DC:             {{DC}},
		DCList:         dcs.List{Options: []tg.DCOption{ {ID: {{DC}}, IPAddress: "{{HOST}}", Port: {{PORT}}, Static: true} }},
		PublicKeys:     []telegram.PublicKey{ {RSA: &rsa.PublicKey{N: modulus, E: 65537} } },
		Resolver:       dcs.Plain(dcs.PlainOptions{}),
		SessionStorage: &session.StorageMemory{},
		NoUpdates:      true,
	})
	code := func(context.Context, *tg.AuthSentCode) (string, error) { return {{CODE}} }
	flow := auth.NewFlow(auth.CodeOnly("{{NUMBER}}", auth.CodeAuthenticatorFunc(code)), auth.SendCodeOptions{})
	err := client.Run(context.Background(), func(ctx context.Context) error {
		if err := client.Auth().IfNecessary(ctx, flow); err != nil {
			return err
		}
		me, err := client.Self(ctx)
		if err != nil {
			return err
		}
		fmt.Println("signed in as", me.FirstName, me.LastName)
		return nil
	})
	if err != nil {
		panic(err)
	}
}

func ask() string {
	var code string
	fmt.Print("code: ")
	fmt.Scan(&code)
	return code
}
