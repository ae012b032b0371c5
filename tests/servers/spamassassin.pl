# Looks at messages with SpamAssassin's own rules, as Debian ships them: no network, no learning, no state.
#
# Argument: an empty folder to call home. In, again and again: a line "<length>", then the message.
# Out, for each: one line with the rules that fired, such as "MISSING_DATE=1.396 HTML_MESSAGE=0.001".
use strict;
use warnings;
use Mail::SpamAssassin;

my $home = shift or die "no folder given";
my $assassin = Mail::SpamAssassin->new({
    local_tests_only => 1,
    dont_copy_prefs => 1,
    userprefs_filename => "$home/user_prefs",
    userstate_dir => $home,
    home_dir_for_helpers => $home,
    LOCAL_STATE_DIR => $home,
    post_config_text => "use_bayes 0\nuse_auto_welcomelist 0\nuse_txrep 0\n",
});
$assassin->compile_now(0);
binmode STDIN;
$| = 1;
print "ready\n";

while (my $line = <STDIN>) {
    my ($length) = split " ", $line;
    my $message = "";
    read(STDIN, $message, $length) == $length or die "cut off";
    my $mail = $assassin->parse($message);
    my $status = $assassin->check($mail);
    my $scores = $status->get_names_of_tests_hit_with_scores_hash;
    print join(" ", map { "$_=$scores->{$_}" } sort keys %$scores), "\n";
    $status->finish;
    $mail->finish;
}
