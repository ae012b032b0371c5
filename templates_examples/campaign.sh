#!/bin/sh
# A campaign from an empty folder to its report. Run it where `coldsend init` was run, from anywhere.
#
#   SMTP_HOST, SMTP_PORT   where the sender service hands messages over (default: a console service that
#                          writes every message to the folder `sent`, and sends nothing)
#   COLDSEND               the command, where it is not in the path
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
run=${COLDSEND:-coldsend}
export COLDSEND_POSTAL_ADDRESS="${COLDSEND_POSTAL_ADDRESS:-Stillwater, 1 Example Street, 12345 Sampletown}"
export COLDSEND_WEB_BASE_URL="${COLDSEND_WEB_BASE_URL:-https://mail.example.com}"

# 1. Who writes.
if [ -n "${SMTP_HOST:-}" ]; then
  $run service add examples --type smtp --host "$SMTP_HOST" --port "${SMTP_PORT:-25}" --tls none \
    --from 'Robin Field <robin@stillwater.example.com>' --daily-quota 200 --throttle-sec 0
else
  $run service add examples --type console --folder sent \
    --from 'Robin Field <robin@stillwater.example.com>' --daily-quota 200 --throttle-sec 0
fi

# 2. To whom.
$run contact import "$here/contacts.csv" --tag examples

# 3. What.
add() {
  $run template add "$1" --subject "$2" --body-file "$here/$1.html" --text-file "$here/$1.txt"
}
add cold-intro 'Returns at {{ contact.company }}'
add follow-up 'One number about returns'
add case-study 'How a team of six halved its backlog'
add event-invitation 'An open warehouse evening'
add break-up 'Closing the loop on returns'
add referral-de 'Wer kümmert sich bei {{ contact.company }} um Retouren?'
add intro-zh '关于退货处理的一个问题'
add event-he 'ערב פתוח במחסן'

$run template-set create intros-en --template cold-intro --template case-study --template event-invitation
$run template-set create intros-de --template referral-de
$run template-set create intros-zh --template intro-zh
$run template-set create intros-he --template event-he

# 4. Look before you send.
$run template preview cold-intro --contact tom.okafor@brightcrate.example

# 5. Send: each language its own task, customers left out.
$run campaign create examples
for language in en de zh he; do
  $run task create examples "intro-$language" --template-set "intros-$language" \
    --rule "tag:$language and tag:lead and not tag:customer"
done
$run campaign start examples
$run scheduler run --until-idle
$run report campaign examples
