variable "source_ami" {
  type        = string
  description = "The image to start from: the newest base image when the bake began, or the baked one that is checked."
}

variable "subnet_id" {
  type        = string
  description = "The subnet of the instance."
  default     = null
}

variable "spot" {
  type        = bool
  description = "Spare capacity instead of an instance on demand."
  default     = false
}

variable "checking" {
  type        = bool
  description = "Only look at a finished image: nothing is made of the instance."
  default     = false
}

variable "ssh_host" {
  type        = string
  description = "Another address for SSH than the instance's own, as behind a forwarder."
  default     = null
}

variable "ssh_port" {
  type        = number
  description = "SSH port of the instance."
  default     = 22
}

variable "ssh_keypair_name" {
  type        = string
  description = "An existing key pair; by default Packer makes a throw-away one."
  default     = null
}

variable "ssh_private_key_file" {
  type        = string
  description = "The private key of ssh_keypair_name."
  default     = null
}

variable "skip_credential_validation" {
  type        = bool
  description = "For private endpoints that have no STS."
  default     = false
}

locals {
  run_tags = {
    Name               = "goldbake-${var.bake}"
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent-debian"
    "goldbake-expires" = var.expires
  }
  image_tags = {
    Name                   = "gpu-agent-debian-${var.bake}"
    "managed-by"           = "goldbake"
    "goldbake-image"       = "gpu-agent-debian"
    "goldbake-fingerprint" = var.fingerprint
    "goldbake-checks"      = "pending"
  }
}

source "amazon-ebs" "golden" {
  region          = "us-east-1"
  source_ami      = var.source_ami
  ami_name        = "gpu-agent-debian-${var.bake}"
  ami_description = "Debian 12 with NVIDIA's, Docker's and Microsoft's own packages"
  ena_support     = var.spot || var.checking ? null : true
  imds_support    = "v2.0"
  skip_create_ami = var.checking

  instance_type               = "c7i.xlarge"
  spot_price                  = var.spot ? "auto" : null
  subnet_id                   = var.subnet_id
  associate_public_ip_address = true
  shutdown_behavior           = "terminate"

  temporary_security_group_source_public_ip = true

  skip_credential_validation = var.skip_credential_validation
  skip_metadata_api_check    = var.skip_credential_validation

  aws_polling {
    delay_seconds = 5
    max_attempts  = 720
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 32
    throughput            = 250
    delete_on_termination = true
  }

  communicator            = "ssh"
  ssh_username            = "admin"
  ssh_host                = var.ssh_host
  ssh_port                = var.ssh_port
  ssh_keypair_name        = var.ssh_keypair_name
  ssh_private_key_file    = var.ssh_private_key_file
  ssh_interface           = "public_ip"
  ssh_timeout             = "15m"
  temporary_key_pair_type = "ed25519"

  tags            = local.image_tags
  snapshot_tags   = local.image_tags
  run_tags        = local.run_tags
  run_volume_tags = local.run_tags
  spot_tags       = var.spot ? local.run_tags : null
  fleet_tags      = var.spot ? local.run_tags : null
}
