-- coldsend's schema at revision 0004, for MariaDB 10.6+ and MySQL 8. Written by `make schema`; do not edit.
-- Load it into an empty database, or let coldsend make it: coldsend db upgrade

CREATE TABLE alert_deliveries (
  id BIGINT NOT NULL AUTO_INCREMENT,
  alert_id BIGINT NOT NULL,
  event ENUM('raised','cleared') NOT NULL,
  target VARCHAR(255) NOT NULL,
  status ENUM('pending','done','given_up') NOT NULL DEFAULT 'pending',
  attempts INTEGER NOT NULL DEFAULT '0',
  next_at DATETIME(6),
  last_error TEXT,
  done_at DATETIME(6),
  CONSTRAINT pk_alert_deliveries PRIMARY KEY (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_alert_deliveries_alert_id ON alert_deliveries (alert_id);

CREATE INDEX ix_alert_deliveries_status_next_at ON alert_deliveries (status, next_at);

CREATE TABLE alerts (
  id BIGINT NOT NULL AUTO_INCREMENT,
  kind ENUM('service_frozen','breaker','campaign_done','unknown_rows','daemon_silent','mailbox_failing') NOT NULL,
  subject VARCHAR(255) NOT NULL,
  message TEXT NOT NULL,
  details JSON,
  raised_at DATETIME(6) NOT NULL,
  cleared_at DATETIME(6),
  open_key VARCHAR(320),
  CONSTRAINT pk_alerts PRIMARY KEY (id),
  CONSTRAINT uq_alerts_open_key UNIQUE (open_key)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_alerts_raised_at ON alerts (raised_at);

CREATE TABLE audit_log (
  id BIGINT NOT NULL AUTO_INCREMENT,
  at DATETIME(6) NOT NULL,
  user_id BIGINT,
  username VARCHAR(255),
  os_user VARCHAR(255),
  host VARCHAR(255),
  command VARCHAR(100) NOT NULL,
  arguments JSON,
  exit_code INTEGER NOT NULL,
  error VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin,
  CONSTRAINT pk_audit_log PRIMARY KEY (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_audit_log_at ON audit_log (at);

CREATE TABLE contact_tags (
  tag VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  contact_id BIGINT NOT NULL,
  CONSTRAINT pk_contact_tags PRIMARY KEY (tag, contact_id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_contact_tags_contact_id ON contact_tags (contact_id);

CREATE TABLE contacts (
  id BIGINT NOT NULL AUTO_INCREMENT,
  email VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  email_key VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  email_domain VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  nickname VARCHAR(255),
  tags JSON,
  fields JSON,
  time_zone VARCHAR(64),
  source VARCHAR(255),
  lawful_basis VARCHAR(50),
  deleted_at DATETIME(6),
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  away_until DATETIME(6),
  erased_at DATETIME(6),
  CONSTRAINT pk_contacts PRIMARY KEY (id),
  CONSTRAINT uq_contacts_email UNIQUE (email),
  CONSTRAINT uq_contacts_email_key UNIQUE (email_key)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_contacts_email_domain ON contacts (email_domain);

CREATE INDEX ix_contacts_erased_at ON contacts (erased_at);

CREATE TABLE cursors (
  name VARCHAR(64) NOT NULL,
  position BIGINT NOT NULL DEFAULT '0',
  moved_at DATETIME(6),
  CONSTRAINT pk_cursors PRIMARY KEY (name)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE dkim_keys (
  id BIGINT NOT NULL AUTO_INCREMENT,
  domain VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  selector VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  algorithm ENUM('rsa','ed25519') NOT NULL,
  bits INTEGER NOT NULL,
  public_key TEXT NOT NULL,
  private_key JSON NOT NULL,
  status ENUM('new','active','retired') NOT NULL DEFAULT 'new',
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  activated_at DATETIME(6),
  retired_at DATETIME(6),
  CONSTRAINT pk_dkim_keys PRIMARY KEY (id),
  CONSTRAINT uq_dkim_keys_domain_selector UNIQUE (domain, selector)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE event_counts (
  task_id BIGINT NOT NULL,
  hour DATETIME(6) NOT NULL,
  type ENUM('send_api_try','send_api_success','send_api_fail','delivered','open','click','reply','unsubscribe','bounce','complaint') NOT NULL,
  nature ENUM('','human','machine','own','hard','soft','retried') NOT NULL,
  template_id BIGINT NOT NULL,
  sender_service_id BIGINT NOT NULL,
  events INTEGER NOT NULL DEFAULT '0',
  recipients INTEGER NOT NULL DEFAULT '0',
  firsts INTEGER NOT NULL DEFAULT '0',
  CONSTRAINT pk_event_counts PRIMARY KEY (task_id, hour, type, nature, template_id, sender_service_id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE event_domains (
  task_id BIGINT NOT NULL,
  domain VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  type ENUM('send_api_try','send_api_success','send_api_fail','delivered','open','click','reply','unsubscribe','bounce','complaint') NOT NULL,
  nature ENUM('','human','machine','own','hard','soft','retried') NOT NULL,
  events INTEGER NOT NULL DEFAULT '0',
  recipients INTEGER NOT NULL DEFAULT '0',
  firsts INTEGER NOT NULL DEFAULT '0',
  CONSTRAINT pk_event_domains PRIMARY KEY (task_id, domain, type, nature)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE event_links (
  task_id BIGINT NOT NULL,
  template_id BIGINT NOT NULL,
  digest VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  nature ENUM('','human','machine','own','hard','soft','retried') NOT NULL,
  url TEXT NOT NULL,
  clicks INTEGER NOT NULL DEFAULT '0',
  recipients INTEGER NOT NULL DEFAULT '0',
  CONSTRAINT pk_event_links PRIMARY KEY (task_id, template_id, digest, nature)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE event_log (
  id BIGINT NOT NULL AUTO_INCREMENT,
  task_id BIGINT,
  contact_id BIGINT,
  sender_service_id BIGINT,
  event_tracking_uid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
  type ENUM('send_api_try','send_api_success','send_api_fail','delivered','open','click','reply','unsubscribe','bounce','complaint') NOT NULL,
  ts DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  details JSON,
  dedup_key VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin,
  CONSTRAINT pk_event_log PRIMARY KEY (id),
  CONSTRAINT uq_event_log_dedup_key UNIQUE (dedup_key)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_event_log_task_contact ON event_log (task_id, contact_id);

CREATE INDEX ix_event_log_type_task_ts ON event_log (type, task_id, ts, contact_id);

CREATE TABLE inbox_messages (
  id BIGINT NOT NULL AUTO_INCREMENT,
  mailbox_id BIGINT NOT NULL,
  uid_validity BIGINT NOT NULL,
  uid BIGINT NOT NULL,
  kind ENUM('bounce','complaint','auto_reply','reply','other') NOT NULL,
  received_at DATETIME(6) NOT NULL,
  task_contact_id BIGINT,
  contact_id BIGINT,
  digest VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_id VARCHAR(998),
  from_email VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  subject TEXT,
  text MEDIUMTEXT,
  raw MEDIUMBLOB,
  details JSON,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  category VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin,
  CONSTRAINT pk_inbox_messages PRIMARY KEY (id),
  CONSTRAINT uq_inbox_messages_digest UNIQUE (digest)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_inbox_messages_contact_id ON inbox_messages (contact_id, received_at);

CREATE INDEX ix_inbox_messages_created_at ON inbox_messages (created_at);

CREATE TABLE leases (
  name VARCHAR(64) NOT NULL,
  worker_id BIGINT,
  expires_at DATETIME(6) NOT NULL,
  CONSTRAINT pk_leases PRIMARY KEY (name)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE provider_pauses (
  sender_service_id BIGINT NOT NULL,
  provider VARCHAR(100) NOT NULL,
  paused_until DATETIME(6),
  reason TEXT,
  times INTEGER NOT NULL DEFAULT '1',
  CONSTRAINT pk_provider_pauses PRIMARY KEY (sender_service_id, provider)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE send_counts (
  kind ENUM('service_hour','service_domain','campaign_new') NOT NULL,
  owner_id BIGINT NOT NULL,
  period DATETIME(6) NOT NULL,
  `key` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  used INTEGER NOT NULL DEFAULT '0',
  CONSTRAINT pk_send_counts PRIMARY KEY (kind, owner_id, period, `key`)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_send_counts_period ON send_counts (period);

CREATE TABLE sender_leases (
  sender_service_id BIGINT NOT NULL,
  worker_id BIGINT,
  next_send_at DATETIME(6),
  CONSTRAINT pk_sender_leases PRIMARY KEY (sender_service_id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sender_quota (
  sender_service_id BIGINT NOT NULL,
  quota_day DATE NOT NULL,
  used INTEGER NOT NULL DEFAULT '0',
  closed_at DATETIME(6),
  CONSTRAINT pk_sender_quota PRIMARY KEY (sender_service_id, quota_day)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sender_services (
  id BIGINT NOT NULL AUTO_INCREMENT,
  name VARCHAR(255) NOT NULL,
  type VARCHAR(50) NOT NULL DEFAULT 'jiguang',
  credentials JSON,
  settings JSON,
  from_name VARCHAR(255),
  from_email VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  daily_quota INTEGER NOT NULL DEFAULT '0',
  used_today INTEGER NOT NULL DEFAULT '0',
  throttle_sec NUMERIC(10, 3) NOT NULL DEFAULT '1',
  time_zone VARCHAR(64) NOT NULL DEFAULT 'UTC',
  health_status ENUM('active','frozen') NOT NULL DEFAULT 'active',
  frozen_code ENUM('credentials','errors','suspended','manual'),
  frozen_reason TEXT,
  cool_down_until DATETIME(6),
  cool_down_reason VARCHAR(255),
  last_error_at DATETIME(6),
  last_error TEXT,
  consecutive_errors INTEGER NOT NULL DEFAULT '0',
  max_consecutive_errors INTEGER NOT NULL DEFAULT '5',
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  webhook_secret JSON,
  ramp JSON,
  hourly_quota INTEGER,
  domain_quota INTEGER,
  jitter_sec NUMERIC(10, 3) NOT NULL DEFAULT '0',
  spread_hours NUMERIC(5, 2),
  CONSTRAINT pk_sender_services PRIMARY KEY (id),
  CONSTRAINT uq_sender_services_name UNIQUE (name)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_sender_services_health_status ON sender_services (health_status);

CREATE TABLE sequence_stops (
  id BIGINT NOT NULL AUTO_INCREMENT,
  campaign_id BIGINT NOT NULL,
  stop_key VARCHAR(330) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  value VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  reason ENUM('replied','bounced','manual') NOT NULL,
  task_contact_id BIGINT,
  source VARCHAR(255),
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_sequence_stops PRIMARY KEY (id),
  CONSTRAINT uq_sequence_stops_campaign_id_stop_key UNIQUE (campaign_id, stop_key)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE signing_keys (
  id BIGINT NOT NULL AUTO_INCREMENT,
  purpose VARCHAR(32) NOT NULL,
  secret JSON NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_signing_keys PRIMARY KEY (id),
  CONSTRAINT uq_signing_keys_purpose UNIQUE (purpose)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE suppressions (
  id BIGINT NOT NULL AUTO_INCREMENT,
  suppression_key VARCHAR(330) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  campaign_id BIGINT NOT NULL DEFAULT '0',
  scope ENUM('address','domain','hashed') NOT NULL,
  value VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  reason ENUM('unsubscribe','complaint','hard_bounce','manual','import','erased') NOT NULL,
  source VARCHAR(255),
  detail TEXT,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  list_name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
  CONSTRAINT pk_suppressions PRIMARY KEY (id),
  CONSTRAINT uq_suppressions_suppression_key_campaign_id_list_name UNIQUE (suppression_key, campaign_id, list_name)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_suppressions_list_name ON suppressions (list_name);

CREATE TABLE unmatched_events (
  id BIGINT NOT NULL AUTO_INCREMENT,
  source VARCHAR(50) NOT NULL,
  received_at DATETIME(6) NOT NULL,
  dedup_key VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin,
  details JSON,
  CONSTRAINT pk_unmatched_events PRIMARY KEY (id),
  CONSTRAINT uq_unmatched_events_dedup_key UNIQUE (dedup_key)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_unmatched_events_received_at ON unmatched_events (received_at);

CREATE TABLE users (
  id BIGINT NOT NULL AUTO_INCREMENT,
  username VARCHAR(255) NOT NULL,
  `role` VARCHAR(50) NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_users PRIMARY KEY (id),
  CONSTRAINT uq_users_username UNIQUE (username)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_users_role ON users (`role`);

CREATE TABLE webhook_payloads (
  id BIGINT NOT NULL AUTO_INCREMENT,
  provider VARCHAR(50) NOT NULL,
  received_at DATETIME(6) NOT NULL,
  digest VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  content_type VARCHAR(255),
  body MEDIUMBLOB,
  events INTEGER NOT NULL DEFAULT '0',
  error TEXT,
  CONSTRAINT pk_webhook_payloads PRIMARY KEY (id),
  CONSTRAINT uq_webhook_payloads_digest UNIQUE (digest)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_webhook_payloads_received_at ON webhook_payloads (received_at);

CREATE TABLE workers (
  id BIGINT NOT NULL AUTO_INCREMENT,
  kind ENUM('scheduler','sender') NOT NULL,
  host VARCHAR(255) NOT NULL,
  host_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  pid INTEGER NOT NULL,
  started_at DATETIME(6) NOT NULL,
  heartbeat_at DATETIME(6) NOT NULL,
  lease_until DATETIME(6) NOT NULL,
  stopped_at DATETIME(6),
  details JSON,
  CONSTRAINT pk_workers PRIMARY KEY (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_workers_stopped_at ON workers (stopped_at);

CREATE TABLE campaigns (
  id BIGINT NOT NULL AUTO_INCREMENT,
  name VARCHAR(255) NOT NULL,
  start_time DATETIME(6),
  status ENUM('draft','active','paused','completed','cancelled') NOT NULL DEFAULT 'draft',
  status_reason TEXT,
  created_by BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  resumed_at DATETIME(6),
  time_zone VARCHAR(64),
  send_window JSON,
  holidays JSON,
  spread BOOL NOT NULL DEFAULT false,
  stop_on_reply BOOL NOT NULL DEFAULT true,
  stop_domain_on_reply BOOL NOT NULL DEFAULT true,
  followups_first BOOL NOT NULL DEFAULT true,
  new_per_day INTEGER,
  CONSTRAINT pk_campaigns PRIMARY KEY (id),
  CONSTRAINT uq_campaigns_name UNIQUE (name),
  CONSTRAINT fk_campaigns_created_by FOREIGN KEY(created_by) REFERENCES users (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_campaigns_created_by ON campaigns (created_by);

CREATE INDEX ix_campaigns_start_time ON campaigns (start_time);

CREATE INDEX ix_campaigns_status ON campaigns (status);

CREATE TABLE email_variables (
  id BIGINT NOT NULL AUTO_INCREMENT,
  variable_key VARCHAR(100) NOT NULL,
  display_name VARCHAR(255) NOT NULL,
  source_type ENUM('CONTACT_FIELD','CONTACT_TAG','SYSTEM') NOT NULL,
  source_details JSON,
  description TEXT,
  created_by BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_email_variables PRIMARY KEY (id),
  CONSTRAINT uq_email_variables_variable_key UNIQUE (variable_key),
  CONSTRAINT fk_email_variables_created_by FOREIGN KEY(created_by) REFERENCES users (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_email_variables_created_by ON email_variables (created_by);

CREATE TABLE mailboxes (
  id BIGINT NOT NULL AUTO_INCREMENT,
  name VARCHAR(255) NOT NULL,
  sender_service_id BIGINT,
  settings JSON,
  credentials JSON,
  enabled BOOL NOT NULL DEFAULT true,
  uid_validity BIGINT,
  last_uid BIGINT,
  polled_at DATETIME(6),
  failed_at DATETIME(6),
  last_error TEXT,
  error_code VARCHAR(50),
  consecutive_errors INTEGER NOT NULL DEFAULT '0',
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_mailboxes PRIMARY KEY (id),
  CONSTRAINT uq_mailboxes_name UNIQUE (name),
  CONSTRAINT fk_mailboxes_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_mailboxes_sender_service_id ON mailboxes (sender_service_id);

CREATE TABLE template_sets (
  id BIGINT NOT NULL AUTO_INCREMENT,
  name VARCHAR(255) NOT NULL,
  created_by BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_template_sets PRIMARY KEY (id),
  CONSTRAINT uq_template_sets_name UNIQUE (name),
  CONSTRAINT fk_template_sets_created_by FOREIGN KEY(created_by) REFERENCES users (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_template_sets_created_by ON template_sets (created_by);

CREATE TABLE templates (
  id BIGINT NOT NULL AUTO_INCREMENT,
  name VARCHAR(255) NOT NULL,
  subject VARCHAR(500) NOT NULL,
  body MEDIUMTEXT NOT NULL,
  text_body MEDIUMTEXT,
  created_by BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_templates PRIMARY KEY (id),
  CONSTRAINT uq_templates_name UNIQUE (name),
  CONSTRAINT fk_templates_created_by FOREIGN KEY(created_by) REFERENCES users (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_templates_created_by ON templates (created_by);

CREATE TABLE user_sender_service_access (
  id BIGINT NOT NULL AUTO_INCREMENT,
  user_id BIGINT NOT NULL,
  sender_service_id BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  CONSTRAINT pk_user_sender_service_access PRIMARY KEY (id),
  CONSTRAINT uq_user_sender_service_access_user_id_sender_service_id UNIQUE (user_id, sender_service_id),
  CONSTRAINT fk_user_sender_service_access_user_id FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT fk_user_sender_service_access_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_sender_service_access_sender_service_id ON user_sender_service_access (sender_service_id);

CREATE INDEX ix_user_sender_service_access_user_id ON user_sender_service_access (user_id);

CREATE TABLE tasks (
  id BIGINT NOT NULL AUTO_INCREMENT,
  campaign_id BIGINT NOT NULL,
  name VARCHAR(255) NOT NULL,
  plan_time DATETIME(6),
  status ENUM('draft','scheduled','sending','finished','paused','failed','cancelled') NOT NULL DEFAULT 'draft',
  status_reason TEXT,
  recipient_rule JSON NOT NULL,
  template_set_id BIGINT NOT NULL,
  actual_start_time DATETIME(6),
  actual_end_time DATETIME(6),
  summary_stats JSON,
  expand_cursor BIGINT NOT NULL DEFAULT '0',
  expand_to BIGINT,
  expanded_at DATETIME(6),
  expanded_count BIGINT NOT NULL DEFAULT '0',
  template_ids JSON,
  created_by BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  follows_task_id BIGINT,
  follows_days INTEGER NOT NULL DEFAULT '0',
  follows_business_days BOOL NOT NULL DEFAULT false,
  follows_condition JSON,
  enrolled_to DATETIME(6),
  experiment JSON,
  CONSTRAINT pk_tasks PRIMARY KEY (id),
  CONSTRAINT uq_tasks_campaign_id_name UNIQUE (campaign_id, name),
  CONSTRAINT fk_tasks_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id),
  CONSTRAINT fk_tasks_template_set_id FOREIGN KEY(template_set_id) REFERENCES template_sets (id),
  CONSTRAINT fk_tasks_created_by FOREIGN KEY(created_by) REFERENCES users (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_tasks_campaign_id ON tasks (campaign_id);

CREATE INDEX ix_tasks_created_by ON tasks (created_by);

CREATE INDEX ix_tasks_follows_task_id ON tasks (follows_task_id);

CREATE INDEX ix_tasks_plan_time ON tasks (plan_time);

CREATE INDEX ix_tasks_status ON tasks (status);

CREATE INDEX ix_tasks_template_set_id ON tasks (template_set_id);

CREATE TABLE template_set_items (
  id BIGINT NOT NULL AUTO_INCREMENT,
  template_set_id BIGINT NOT NULL,
  template_id BIGINT NOT NULL,
  `order` INTEGER NOT NULL DEFAULT '0',
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  weight INTEGER NOT NULL DEFAULT '1',
  CONSTRAINT pk_template_set_items PRIMARY KEY (id),
  CONSTRAINT uq_template_set_items_template_set_id_template_id UNIQUE (template_set_id, template_id),
  CONSTRAINT fk_template_set_items_template_set_id FOREIGN KEY(template_set_id) REFERENCES template_sets (id),
  CONSTRAINT fk_template_set_items_template_id FOREIGN KEY(template_id) REFERENCES templates (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_template_set_items_template_id ON template_set_items (template_id);

CREATE INDEX ix_template_set_items_template_set_id ON template_set_items (template_set_id);

CREATE INDEX ix_template_set_items_template_set_id_order ON template_set_items (template_set_id, `order`);

CREATE TABLE task_contacts (
  id BIGINT NOT NULL AUTO_INCREMENT,
  task_id BIGINT NOT NULL,
  contact_id BIGINT NOT NULL,
  status ENUM('pending','sending','sent','failed_to_send','unknown','skipped','delivered','bounced','opened','clicked','replied','unsubscribed','complained') NOT NULL DEFAULT 'pending',
  selected_template_id BIGINT,
  scheduled_send_at DATETIME(6),
  sent_at DATETIME(6),
  error_message TEXT,
  event_tracking_uid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
  reason VARCHAR(100),
  bucket SMALLINT NOT NULL DEFAULT '0',
  attempt INTEGER NOT NULL DEFAULT '0',
  retries INTEGER NOT NULL DEFAULT '0',
  first_attempt_at DATETIME(6),
  attempt_at DATETIME(6),
  claim_token BIGINT,
  sender_service_id BIGINT,
  message_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
  delivered_at DATETIME(6),
  opened_at DATETIME(6),
  clicked_at DATETIME(6),
  replied_at DATETIME(6),
  bounced_at DATETIME(6),
  unsubscribed_at DATETIME(6),
  complained_at DATETIME(6),
  follows_id BIGINT,
  subject VARCHAR(998),
  reply_category VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin,
  CONSTRAINT pk_task_contacts PRIMARY KEY (id),
  CONSTRAINT uq_task_contacts_task_id_contact_id UNIQUE (task_id, contact_id),
  CONSTRAINT fk_task_contacts_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
  CONSTRAINT fk_task_contacts_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id),
  CONSTRAINT fk_task_contacts_selected_template_id FOREIGN KEY(selected_template_id) REFERENCES templates (id),
  CONSTRAINT uq_task_contacts_event_tracking_uid UNIQUE (event_tracking_uid)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_task_contacts_contact_id ON task_contacts (contact_id);

CREATE INDEX ix_task_contacts_lease ON task_contacts (task_id, status, bucket, scheduled_send_at);

CREATE INDEX ix_task_contacts_selected_template_id ON task_contacts (selected_template_id);

CREATE TABLE task_services (
  task_id BIGINT NOT NULL,
  sender_service_id BIGINT NOT NULL,
  CONSTRAINT pk_task_services PRIMARY KEY (task_id, sender_service_id),
  CONSTRAINT fk_task_services_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
  CONSTRAINT fk_task_services_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
)ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version (version_num) VALUES ('0004') RETURNING alembic_version.version_num;
