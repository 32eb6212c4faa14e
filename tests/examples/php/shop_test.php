<?php

// A shop's tests in plain PHP: EPAY_URL=http://127.0.0.1:8080 php shop_test.php

declare(strict_types=1);

set_error_handler(fn (int $level, string $why) => throw new ErrorException($why));

$epay = getenv('EPAY_URL') ?: 'http://127.0.0.1:8080';
$number = 0;

/** Say that something holds, or end here. */
function check(string $what, mixed $expected, mixed $found): void
{
    global $number;
    $number++;
    if ($expected !== $found) {
        echo "not ok $number - $what: ", json_encode($found), ' is not ', json_encode($expected), "\n";
        exit(1);
    }
    echo "ok $number - $what\n";
}

/** Ask for JSON, and send some: an array as JSON, a text as a form. */
function ask(string $method, string $url, array|string|null $body = null, string $bearer = ''): array
{
    $headers = ['Content-Type: ' . (is_string($body) ? 'application/x-www-form-urlencoded' : 'application/json')];
    $headers[] = $bearer ? "Authorization: Bearer $bearer" : 'Accept: application/json';
    $content = is_array($body) ? json_encode((object) $body) : (string) $body;
    $http = ['method' => $method, 'header' => $headers, 'content' => $content, 'timeout' => 10];
    return json_decode(file_get_contents($url, context: stream_context_create(['http' => $http])) ?: '[]', true);
}

/** Take the postlink that is on its way, as the shop's script for postlinks does. */
function take_postlink($shop): array
{
    $connection = stream_socket_accept($shop, 10);
    stream_set_timeout($connection, 10);
    $head = '';
    while (($line = trim((string) fgets($connection))) !== '') {
        $head .= "$line\n";
    }
    preg_match('/^content-length: (\d+)$/im', $head, $found);
    $notice = json_decode(stream_get_contents($connection, (int) $found[1]), true);
    fwrite($connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    fclose($connection);
    return $notice;
}

// A merchant of this run's own, so that nothing else is in its way.
$merchant = ask('POST', "$epay/_control/merchants", ['name' => 'Tea']);
$world = "$epay/_control/merchants/{$merchant['client_id']}";
register_shutdown_function(fn () => ask('DELETE', $world));

$shop = stream_socket_server('tcp://127.0.0.1:0');
$postlink = 'http://' . stream_socket_get_name($shop, false) . '/postlink';

/** Ask the bank for a token, as the shop's server does. */
$token = fn (array $order = []) => ask('POST', $merchant['urls']['token'], http_build_query($order + [
    'grant_type' => 'client_credentials',
    'scope' => 'payment',
    'client_id' => $merchant['client_id'],
    'client_secret' => $merchant['client_secret'],
    'terminal' => $merchant['terminal'],
]));

// A paid order is told to the shop, and the bank tells the same when it is asked.
$links = ['postLink' => $postlink, 'failurePostLink' => $postlink, 'secret_hash' => 'a secret'];
$token(['invoiceID' => '000000001', 'amount' => '2500', 'currency' => 'KZT'] + $links);
$paid = ask('POST', "$world/payments", ['invoice_id' => '000000001']);
$notice = take_postlink($shop);
check('a payment with the usual card goes through', 'CHARGE', $paid['status']);
check('the postlink is of that order', ['ok', '000000001'], [$notice['code'], $notice['invoiceId']]);
check('the postlink has the secret that the shop gave', 'a secret', $notice['secret_hash']);

$url = "{$merchant['urls']['api']}/check-status/payment/transaction/000000001";
$status = ask('GET', $url, bearer: $token()['access_token']);
check('the bank says that it is paid', 'CHARGE', $status['transaction']['statusName']);

// The next payment is declined, whatever its card.
ask('POST', "$world/script", ['decisions' => [['reason_code' => 484]]]);
$token(['invoiceID' => '000000002', 'amount' => '990', 'currency' => 'KZT'] + $links);
$declined = ask('POST', "$world/payments", ['invoice_id' => '000000002']);
$notice = take_postlink($shop);
check('the next payment is declined', 484, $declined['reason_code']);
check('the shop is told why', ['error', 484], [$notice['code'], $notice['reasonCode']]);

// A page that nobody pays on closes when its time is over. Nothing waits for that: the clock is put forward.
ask('POST', "$world/payments", ['invoice_id' => '000000003', 'card' => '4000000000009995']);
$clock = ask('PUT', "$world/clock", ['advance_s' => 1200]);
check('the page is closed after twenty minutes', 'closed', end($clock['fired'])['result']);

echo "1..$number\n";
