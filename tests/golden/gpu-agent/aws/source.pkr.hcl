variable "ssh_host" {
  type        = string
  description = "Another address for SSH than the instance's own, as behind a forwarder."
  default     = null
}

variable "ssh_port" {
  type        = number
  description = "SSH port of the build instance."
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

variable "subnet_id" {
  type        = string
  description = "The subnet of the build instance; by default one of the default VPC."
  default     = null
}

variable "skip_credential_validation" {
  type        = bool
  description = "For private endpoints that have no STS."
  default     = false
}

locals {
  tags = {
    Name               = "goldbake-${var.bake}"
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent"
    "goldbake-expires" = var.expires
  }
}

source "amazon-ebs" "golden" {
  region          = "us-east-1"
  instance_type   = "c7i.xlarge"
  subnet_id       = var.subnet_id
  ami_name        = "gpu-agent-${var.bake}"
  ami_description = "Ubuntu 24.04 with NVIDIA's, Docker's and Microsoft's own packages"
  ena_support     = true
  imds_support    = "v2.0"

  skip_credential_validation = var.skip_credential_validation
  skip_metadata_api_check    = var.skip_credential_validation

  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters = {
      name                = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = 32
    throughput            = 250
    delete_on_termination = true
  }

  communicator         = "ssh"
  ssh_username         = "ubuntu"
  ssh_host             = var.ssh_host
  ssh_port             = var.ssh_port
  ssh_keypair_name     = var.ssh_keypair_name
  ssh_private_key_file = var.ssh_private_key_file
  ssh_interface        = "public_ip"

  tags            = local.tags
  snapshot_tags   = local.tags
  run_tags        = local.tags
  run_volume_tags = local.tags
}
