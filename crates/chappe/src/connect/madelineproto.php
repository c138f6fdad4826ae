<?php
// composer require danog/madelineproto
// php sign_in.php
//
// MadelineProto has its addresses compiled in. The proxy of `chappe serve --secret {{SECRET}}` leads
// it here: start the server with that secret.
require 'vendor/autoload.php';

use danog\MadelineProto\API;
use danog\MadelineProto\Settings;
use danog\MadelineProto\Stream\MTProtoTransport\ObfuscatedStream;

$settings = new Settings;
$settings->getAppInfo()->setApiId(1)->setApiHash(str_repeat('0', 32));
$settings->getConnection()
    ->setRsaKeys([<<<'KEY'
{{KEY}}
KEY])
    ->addProxy(ObfuscatedStream::class, [
        'address' => '{{HOST}}',
        'port' => {{PORT}},
        'secret' => '{{SECRET}}',
    ]);

$client = new API('test.madeline', $settings);
$client->phoneLogin('{{NUMBER}}');
$client->completePhoneLogin({{CODE}});
$me = $client->getSelf();
echo "signed in as {$me['first_name']} {$me['last_name']}\n";
