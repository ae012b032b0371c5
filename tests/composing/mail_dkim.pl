# Verifies messages with Mail::DKIM, an implementation that shares nothing with ours. No DNS is asked.
#
# In, again and again: a line "<record length> <message length>", then the TXT record and the message.
# Out, for each: one line with the result of every signature, such as "pass" or "pass fail (body has been altered)".
use strict;
use warnings;
use Mail::DKIM::Verifier;

package Stub;
sub new { my ($class) = @_; return bless { record => "" }, $class }
sub query { my ($self, $name, $type) = @_; return $self->answer($name) }
sub send { my ($self, $name, $type) = @_; return $self->answer($name) }
sub answer {
    my ($self, $name) = @_;
    require Net::DNS;
    my $packet = Net::DNS::Packet->new($name, "TXT");
    my @pieces = unpack("(A255)*", $self->{record});
    $packet->push(answer => Net::DNS::RR->new(owner => $name, type => "TXT", txtdata => \@pieces));
    return $packet;
}
sub errorstring { return "NOERROR" }

package main;
binmode STDIN;
$| = 1;
my $stub = Stub->new;
Mail::DKIM::DNS::resolver($stub);

while (my $line = <STDIN>) {
    my ($record_length, $message_length) = split " ", $line;
    read(STDIN, $stub->{record}, $record_length) == $record_length or die "cut off";
    my $message = "";
    $message_length == 0 or read(STDIN, $message, $message_length) == $message_length or die "cut off";
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->PRINT($message);
    $verifier->CLOSE;
    my @results = map { $_->result_detail } $verifier->signatures;
    print join(" ", @results) || "none", "\n";
}
